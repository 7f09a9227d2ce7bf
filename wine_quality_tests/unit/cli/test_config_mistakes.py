"""Mistakes in run config, each with the sentence that a person gets for it."""

from __future__ import annotations

import pytest
import yaml
from dagster import DagsterInvalidConfigError, validate_run_config

from wine_quality.cli.config_refusals import refusals_of
from wine_quality.cli.jobs import main_job
from wine_quality.cli.run_config import _config_file
from wine_quality.dagster_support.original_names import ORIGINAL_NAMES

HYPERPARAMETERS = "resources: {{hyperparameters: {{config: {{alpha: {}}}}}}}"
ALPHA = "resources.hyperparameters.config.alpha"


def refused(text: str) -> list[str]:
    config = yaml.safe_load(text)
    job = main_job()
    with pytest.raises(DagsterInvalidConfigError) as raised:
        validate_run_config(job, config)
    return refusals_of(raised.value, job, config, ORIGINAL_NAMES)


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("'0,5'", 'is "0,5", which is text; write 0.5, with a point.'),
        ("'0.5'", 'is "0.5" in quotes, which is text; write 0.5 without them.'),
        ("1e-3", 'is "1e-3", which YAML reads as text; write 0.001 or 1.0e-3.'),
        ("1E3", 'is "1E3", which YAML reads as text; write 1000 or 1.0e+3.'),
        ("1.5e3", 'is "1.5e3", which YAML reads as text; write 1500 or 1.5e+3.'),
        ("1e-30", 'is "1e-30", which YAML reads as text; write 1.0e-30.'),
    ],
)
def test_a_number_that_yaml_reads_as_text(written, hint):
    assert refused(HYPERPARAMETERS.format(written)) == [f"{ALPHA} {hint}"]
    # What is proposed is read as the number that was meant.
    proposed = hint.partition("write ")[2].rstrip(".").replace(", with a point", "")
    for one in proposed.replace(" without them", "").split(" or "):
        assert isinstance(yaml.safe_load(one), (int, float))


def test_other_text_is_refused_in_dagsters_words():
    [refusal] = refused(HYPERPARAMETERS.format("much"))
    assert 'Value "much"' in refusal and refusal.count("\n") == 0


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "ops: {raw_wine_csv: {config: {cvs_url: x}}}",
            ["ops.raw_wine_csv.config.cvs_url is unknown; did you mean csv_url? There are "],
        ),
        ("resource: {}", ["resource is unknown; did you mean resources? There are execution, "]),
        (
            "ops: {read_wine_quality_csv: {}, start_mlflow_run: {}}",
            [
                "ops.read_wine_quality_csv is not of this job: it is called raw_wine_csv here.",
                "ops.start_mlflow_run is not of this job: the resource mlflow starts and ends ",
            ],
        ),
        (
            "resources: {mlflow: {config: {mlflow_tracking_uri: x}}}",
            ["resources.mlflow.config.mlflow_tracking_uri is not of this job: it is called "],
        ),
        ("ops: {zzz: {}}", ["ops.zzz is unknown; There are champion_model, elasticnet_model, "]),
    ],
)
def test_a_name_that_there_is_not(text, sentences):
    found = refused(text)
    assert len(found) == len(sentences)
    for refusal, sentence in zip(found, sentences, strict=True):
        assert refusal.startswith(sentence)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HYPERPARAMETERS.format("0,5"), 'reads "alpha: 0,5" as two entries; write 0.5.'),
        ("ops: {3: {}}", "ops has the key 3, which YAML does not read as text"),
        ("3: {}", "the file has the key 3"),
        ("ops: {yes: {}}", "ops has the key True"),
        ("ops: {x: {config: {points: [{1: 2}]}}}", "ops.x.config.points.0 has the key 1"),
    ],
)
def test_a_key_that_is_no_text(tmp_path, text, words):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(ValueError) as raised:
        _config_file(str(file))
    assert words in str(raised.value)
