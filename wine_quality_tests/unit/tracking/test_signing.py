"""The key and what is signed with it; what is loaded of it is in ``test_provenance``."""

from __future__ import annotations

import hashlib
import stat
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from wine_quality.paths import PROJECT_ROOT
from wine_quality.tracking.model_files import hashed_uploads, model_sha256
from wine_quality.tracking.registry.loadable import VARIABLE as FORMATS
from wine_quality.tracking.registry.loadable import loadable_formats, require_loadable
from wine_quality.tracking.registry.provenance import (
    SIGNATURE_TAG,
    Claims,
    UntrustedModelError,
    require_seal,
    require_signature,
    signature,
)
from wine_quality.tracking.registry.signing_key import (
    FILE_VARIABLE,
    VARIABLE,
    SigningKeyError,
    add_keys,
    key_file,
    signing_keys,
)

CLAIMS = Claims("wines", "run", "3", "dagster-run", "a" * 64, "b" * 64)
ONE, OTHER = "1" * 64, "2" * 64


@pytest.fixture(autouse=True)
def _no_key(home, monkeypatch):
    for name in (VARIABLE, FILE_VARIABLE, "KUBERNETES_SERVICE_HOST", FORMATS):
        monkeypatch.delenv(name, raising=False)


def version_of(claims: Claims, text: str) -> SimpleNamespace:
    tags = {SIGNATURE_TAG: text}
    return SimpleNamespace(name=claims.model, version="7", run_id=claims.mlflow_run_id, tags=tags)


def test_many_that_start_at_once_make_one_key(home):
    code = (
        "from wine_quality.tracking.registry.signing_key import signing_keys as s; print(*s().keys)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT
        )
        for _ in range(8)
    ]
    output = {process.communicate(timeout=60)[0].strip() for process in started}
    assert output == {key_file().read_text().strip()}
    assert len(output.pop()) == 64
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600
    assert [path.name for path in home.iterdir()] == ["signing.key"]


def test_where_the_key_comes_from(tmp_path, monkeypatch):
    own = signing_keys()
    assert own.origin == str(key_file())
    (tmp_path / "file").write_text(f"{ONE}\n")
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "file"))
    assert signing_keys().keys == (ONE,)
    monkeypatch.setenv(VARIABLE, f"{OTHER},{ONE}")
    assert signing_keys().keys == (OTHER, ONE)
    monkeypatch.setenv(VARIABLE, "guess")
    with pytest.raises(SigningKeyError, match=rf"\${VARIABLE} is shorter than 32"):
        signing_keys()
    monkeypatch.delenv(VARIABLE)
    (tmp_path / "file").unlink()
    with pytest.raises(SigningKeyError, match=r"cannot be read or made in .*file.*Set"):
        signing_keys()


def test_a_pod_makes_no_key_that_would_be_lost_with_it(monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(SigningKeyError, match="put one into the secret wine-quality"):
        signing_keys()
    assert not key_file().exists()


def test_keys_that_are_added_are_accepted():
    own = signing_keys().newest
    assert add_keys(f"{ONE},{OTHER}", "a backup", sign_with_them=False) == (own, ONE, OTHER)
    assert add_keys(OTHER, "the settings", sign_with_them=True) == (OTHER, own, ONE)
    assert signing_keys().keys == (OTHER, own, ONE)
    assert stat.S_IMODE(key_file().stat().st_mode) == 0o600


def test_a_signature_fits_what_it_was_made_of_and_nothing_else(monkeypatch):
    text = signature(CLAIMS)
    assert require_signature(version_of(CLAIMS, text)) == CLAIMS
    for field in fields(Claims):
        other = replace(CLAIMS, **{field.name: "c" * 64})
        if field.name in ("model", "mlflow_run_id"):
            changed = version_of(other, text)
        else:
            # With its colons: the name of the key before it may hold a 3 as well.
            part = f":{getattr(CLAIMS, field.name)}:"
            assert part in text
            changed = version_of(CLAIMS, text.replace(part, f":{'c' * 64}:", 1))
        with pytest.raises(UntrustedModelError, match="made for another model, run or files"):
            require_signature(changed)
    # What stands between two parts cannot be moved from one to the other.
    with pytest.raises(UntrustedModelError, match="cannot be read"):
        require_signature(version_of(CLAIMS, text + ":x"))
    with pytest.raises(UntrustedModelError, match="make trust VERSION=7 "):
        require_signature(SimpleNamespace(name="wines", version="7", run_id="run", tags={}))
    monkeypatch.setenv(VARIABLE, ONE)
    with pytest.raises(UntrustedModelError, match="signed with another key than those in"):
        require_signature(version_of(CLAIMS, text))


def test_a_seal_fits_what_was_logged_and_is_no_signature_of_a_version(monkeypatch):
    logged = Claims("", "run", "3", "", "a" * 64, "b" * 64)
    seal = signature(logged)
    require_seal(seal, logged)
    with pytest.raises(UntrustedModelError):
        require_signature(version_of(replace(logged, model="wines"), seal))
    for name in ("mlflow_run_id", "mlflow_version", "files", "record"):
        with pytest.raises(UntrustedModelError, match="is not what was trained here"):
            require_seal(seal, replace(logged, **{name: "c" * 64}))
    for other in ("", "é", signature(replace(logged, model="wines"))):
        with pytest.raises(UntrustedModelError, match="Materialize the asset that trains"):
            require_seal(other, logged)
    monkeypatch.setenv(VARIABLE, f"{ONE},{key_file().read_text().strip()}")
    require_seal(seal, logged)


def test_one_files_name_cannot_pass_for_two_files(tmp_path):
    two, one = tmp_path / "two", tmp_path / "one"
    for folder in (two, one):
        folder.mkdir()
        (folder / "MLmodel").write_text("described")
    (two / "requirements.txt").write_text("pinned")
    hashed = hashlib.sha256(b"pinned").hexdigest()
    (one / "MLmodel").rename(one / f"MLmodel\n{hashed}  requirements.txt")
    assert len(model_sha256(two)) == 64
    with pytest.raises(UntrustedModelError, match=r"called 'MLmodel\\n"):
        model_sha256(one)


def test_the_hash_is_of_what_is_uploaded(tmp_path):
    (tmp_path / "MLmodel").write_text("as it was")
    wanted = model_sha256(tmp_path)

    class Client:
        def log_model_artifacts(self, model_id: str, local_dir: str) -> None:
            Path(local_dir, "MLmodel").write_text("changed on the way")

    kept = Client.log_model_artifacts
    with hashed_uploads(Client, "log_model_artifacts") as uploads:
        Client().log_model_artifacts("m-1", str(tmp_path))
    assert uploads == [wanted] != [model_sha256(tmp_path)]
    assert Client.log_model_artifacts is kept


@pytest.mark.parametrize(
    ("version", "written", "setting", "loadable"),
    [
        ("3", "skops", "", {"skops"}),
        ("3", "pickle", "", {"skops", "pickle"}),
        ("3", "skops", "skops, pickle", {"skops", "pickle"}),
        ("2.1.1", "skops", "", {"pickle"}),
        ("1.26", "skops", "skops", {"skops"}),
    ],
)
def test_the_configuration_says_what_is_loaded(monkeypatch, version, written, setting, loadable):
    monkeypatch.setenv(FORMATS, setting)
    assert loadable_formats(version, written) == loadable


def described(folder: Path, **changes: object) -> Path:
    sklearn = {"pickled_model": "model.skops", "serialization_format": "skops", "code": None}
    python = {"loader_module": "mlflow.sklearn", "python_version": "3.11.7"}
    for name, value in changes.items():
        (python if name in ("loader_module", "code", "data") else sklearn)[name] = value
    flavors = {"sklearn": sklearn, "python_function": python}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors}))
    return folder


def test_what_a_model_says_of_itself_loads_nothing_else(tmp_path):
    skops = frozenset({"skops"})
    assert require_loadable("it", described(tmp_path), skops) == "skops"
    with pytest.raises(UntrustedModelError, match=f"is a pickle.*{FORMATS}=skops,pickle"):
        require_loadable("it", described(tmp_path, serialization_format="cloudpickle"), skops)
    for change in (
        {"loader_module": "os"},
        {"code": "code"},
        # What MLflow loads in place of the estimator, as the MLmodel beside it says.
        {"data": "more/model.pkl"},
        {"pickled_model": "../model.skops"},
    ):
        with pytest.raises(UntrustedModelError, match="names code of its own"):
            require_loadable("it", described(tmp_path, **change), skops)
    with pytest.raises(UntrustedModelError, match=r"it holds os.system, which is not trusted here"):
        require_loadable("it", described(tmp_path, skops_trusted_types=["os.system"]), skops)
    (tmp_path / "MLmodel").write_text("flavors: [")
    with pytest.raises(UntrustedModelError, match="cannot be read"):
        require_loadable("it", tmp_path, skops)


@pytest.mark.parametrize("given", ["", "banana"])
def test_a_format_that_there_is_not_is_named(monkeypatch, given):
    monkeypatch.setenv(FORMATS, given)
    if given:
        with pytest.raises(UntrustedModelError, match="must be of skops, pickle"):
            loadable_formats("3", "skops")
    else:
        assert loadable_formats("3", "skops")
