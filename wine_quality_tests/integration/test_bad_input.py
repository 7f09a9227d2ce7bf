"""Bad input gets one clear error, the MLflow run FAILED if there is one, nothing registered.

By the command line against a real MLflow 3 server; ``test_launched_runs`` has the UI's view and
``test_main_run`` the other versions.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality_tests.support.warm_commands import run_command
from wine_quality_tests.support.web_faults import WebFaults

pytestmark = pytest.mark.slow

WINES = PACKAGED_RED_WINE.read_text()
HEADER, FIRST = WINES.splitlines()[:2]
LINE_3 = WINES.splitlines()[2]


def with_column(name: str) -> str:
    lines = [f"{line};{name if n == 0 else '1'}" for n, line in enumerate(WINES.splitlines())]
    return "\n".join(lines)


def without_last_feature() -> str:
    rows = [line.split(";") for line in WINES.splitlines()]
    return "\n".join(";".join(row[:-2] + row[-1:]) for row in rows)


def with_value(value: str) -> str:
    return WINES.replace(LINE_3, f"{value};" + LINE_3.partition(";")[2], 1)


FILES = {
    "missing": (without_last_feature(), "column 'alcohol': is missing"),
    "extra": (with_column('"colour"'), "column 'colour': is not in the contract"),
    "misnamed": (WINES.replace('"pH"', '"PH"', 1), "did you mean that?"),
    "text": (with_value("sour"), "'fixed acidity': holds text, such as 'sour' in 1 row(s), first"),
    "nan": (with_value("NaN"), "column 'fixed acidity': is empty or NaN in 1 row(s)"),
    "infinite": (with_value("inf"), "column 'fixed acidity': is infinite in 1 row(s)"),
    "negative": (with_value("-1"), "column 'fixed acidity': lies outside 0 to 30"),
    "empty": ("", "is empty"),
    "header-only": (HEADER, "has a header and no rows"),
    "one-wine": (f"{HEADER}\n{FIRST}\n", "train_test_split: "),
}


@pytest.fixture(scope="module")
def web() -> Iterator[WebFaults]:
    server = WebFaults()
    yield server
    server.stop()


@pytest.fixture
def fails(home, mlflow_server):
    """Runs the job with options; what it says when it ends as it must."""
    server = mlflow_server(MLFLOW_VERSIONS["3"])

    def run(*options: str, tracked: bool) -> str:
        name = f"bad-{uuid.uuid4().hex[:8]}"
        before = server.versions("ElasticnetWineModel")
        done = run_command("run", "--tracking-uri", server.uri, "--experiment", name, *options)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert server.statuses(name) == (["FAILED"] if tracked else [])
        assert server.versions("ElasticnetWineModel") == before
        assert "The run failed: Dagster run" in done.stderr
        return done.stderr

    return run


@pytest.mark.parametrize("fault", FILES)
def test_a_bad_file(fails, tmp_path: Path, fault):
    content, words = FILES[fault]
    file = tmp_path / f"{fault}.csv"
    file.write_text(content)
    output = fails("--csv-url", str(file), tracked=True)
    assert words in output
    assert str(file) in output or fault == "one-wine"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nothing", "the server answered 404"),
        ("html", "is an HTML page titled 'Please sign in'"),
        ("hang", "no answer within 0.5 s, after 2 attempt(s)"),
        ("endless", "larger than the limit of 1 MB"),
        ("columns", "has more than 1000 columns"),
    ],
)
def test_a_bad_web_server(fails, web, tmp_path: Path, path, words):
    # Those of a million columns take their time to arrive.
    megabytes, seconds = (64, 30) if path == "columns" else (1, 0.5)
    config = tmp_path / "run.yaml"
    config.write_text(
        "ops: {raw_wine_csv: {config: "
        f"{{timeout_seconds: {seconds}, attempts: 2, max_megabytes: {megabytes}}}}}}}\n"
    )
    output = fails("--csv-url", f"{web.url}/{path}", "--config", str(config), tracked=True)
    assert words in output
    assert f"{web.url}/{path}" in output


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--alpha", "-1", "alpha is -1.0; it must be at least 0"),
        ("--alpha", "nan", "alpha is nan; it must be finite"),
        ("--l1-ratio", "1.5", "l1_ratio is 1.5; it must be at most 1"),
    ],
)
def test_bad_hyperparameters(home, option, value, words):
    done = run_command("run", option, value)
    assert done.returncode == 2, done.stderr
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith("error: resources.hyperparameters.config.")
    assert words in sentence


def test_an_unreachable_server_is_named(home, mlflow_version):
    """In a sentence; what the process of that version prints goes to a file that is named."""
    key = mlflow_version.key
    done = run_command("run", "--mlflow", key, "--tracking-uri", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith("What else was printed: ")]
    assert all(Path(line.partition(": ")[2]).stat().st_size for line in named)
    own = [line for line in lines if "in its own environment" in line]
    # The sentence, what became of the run, and where its log is.
    assert len(lines) == 3 + len(named) + len(own), done.stderr
    assert (
        "the MLflow tracking server http://127.0.0.1:9 (resources.mlflow.config.tracking_uri) "
        "cannot be used: [Errno 111] Connection refused. Start it, or correct tracking_uri."
    ) in done.stderr
    assert "no MLflow run was made" in done.stderr
