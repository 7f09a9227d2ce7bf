"""Lock files read, audited and listed; pip-audit itself is asked by `make audit` only."""

from __future__ import annotations

import re

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality.supply_chain import audit
from wine_quality.supply_chain.audit import ACCEPTED, judge, read_accepted
from wine_quality.supply_chain.locks import FOLDER, images, lock_files, pins
from wine_quality.supply_chain.sbom import bill_of_materials


@pytest.mark.parametrize("lock", lock_files(), ids=lambda lock: lock.stem)
def test_every_package_of_every_lock_is_pinned_with_hashes(lock):
    found = pins(lock)
    lines = [line for line in lock.read_text().splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert len(found) == len(lines) > 0
    assert all(pin.hashes for pin in found)


def test_a_package_without_a_hash_is_refused(tmp_path):
    lock = tmp_path / "bare.txt"
    lock.write_text(
        "flask==2.2.5\njinja2==3.1.2 ; python_version < '4' \\\n    --hash=sha256:" + "a" * 64
    )
    with pytest.raises(ValueError, match="flask without a hash"):
        pins(lock)


@pytest.mark.parametrize("key", MLFLOW_VERSIONS)
def test_a_server_has_the_packages_of_its_clients_environment_less_what_it_never_imports(key):
    excluded = (FOLDER / "server-excludes.in").read_text().splitlines()
    of_server = {pin.name: pin.version for pin in pins(FOLDER / f"server-{key}.txt")}
    of_client = {(pin.name, pin.version) for pin in pins(FOLDER / f"mlflow-{key}.txt")}
    assert of_server.items() <= of_client
    assert {"mlflow", "boto3", "psycopg2-binary", "gunicorn"} <= of_server.keys()
    unwanted = {"dagster", "duckdb", *(line for line in excluded if not line.startswith("#"))}
    assert not unwanted & of_server.keys()


@pytest.mark.parametrize("image", images())
def test_bills_of_materials_are_valid_and_whole(image):
    import json

    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    locks = images()[image]
    bill = bill_of_materials(image, locks)
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(bill)) is None
    listed = {(part["name"], part["version"]) for part in bill["components"]}
    for lock in locks:
        locked = {(re.sub(r"[-_.]+", "-", pin.name).lower(), pin.version) for pin in pins(lock)}
        assert locked <= listed
    assert len(listed) == len(bill["components"])
    assert bill == bill_of_materials(image, locks)


def test_every_image_of_ours_with_packages_has_a_bill():
    built = {lock.name for locks in images().values() for lock in locks}
    for dockerfile in (PROJECT_ROOT / "deploy" / "images").glob("*.Dockerfile"):
        for name in re.findall(r"requirements/(\S+?\.txt)", dockerfile.read_text()):
            if name == "uv.txt":
                continue  # it installs the rest, and stays behind in the build stage
            for version in ("1.26", "2.1.1", "3"):
                versioned = name.replace("${MLFLOW_VERSION}", version).replace("*", version)
                assert versioned in built
    assert all((FOLDER / name).exists() for name in built)


def test_findings_are_accepted_for_their_locks_and_packages_only():
    accepted = read_accepted()
    assert {lock for one in accepted for lock in one.locks} == {
        "mlflow-1.26",
        "mlflow-2.1.1",
        "server-1.26",
        "server-2.1.1",
    }

    def report(package: str, *ids: str) -> dict:
        finding = {"id": ids[0], "aliases": list(ids[1:]), "fix_versions": ["2.2.1"]}
        return {"dependencies": [{"name": package, "version": "2.1.1", "vulns": [finding]}]}

    known = report("mlflow", "GHSA-xg73-94fp-g449", "CVE-2023-1177")
    assert judge("mlflow-2.1.1", known, accepted).findings == []
    assert len(judge("mlflow-2.1.1", known, accepted).accepted) == 1
    for lock, found in (
        ("mlflow-3", known),
        ("mlflow-2.1.1", report("flask", "CVE-2023-1177")),
        ("mlflow-2.1.1", report("mlflow", "CVE-2099-1")),
    ):
        [line] = judge(lock, found, accepted).findings
        assert "fixed in 2.2.1" in line
    skipped = {"dependencies": [{"name": "flask", "skip_reason": "not found"}]}
    assert judge("mlflow-3", skipped, accepted).unknown == ["flask: not found"]


def test_an_acceptance_needs_a_reason_and_a_lock(tmp_path):
    file = tmp_path / "accepted.toml"
    for entry, words in (
        ('ids = ["A"]\npackage = "b"\nlocks = ["mlflow-3"]\nreason = " "', "a reason"),
        ('ids = ["A"]\npackage = "b"\nlocks = ["gone"]\nreason = "so"', "no lock"),
    ):
        file.write_text(f"[[finding]]\n{entry}\n")
        with pytest.raises(ValueError, match=words):
            read_accepted(file)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"name": "x", "version": "1", "vulns": []}, 0),
        ({"name": "x", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": []}]}, 1),
        ({"name": "x", "skip_reason": "not found"}, 2),
    ],
)
def test_how_the_audit_ends(monkeypatch, capsys, answer, code):
    monkeypatch.setattr(audit, "ask", lambda _lock: {"dependencies": [answer]})
    assert audit.main() == code
    assert (str(ACCEPTED) in capsys.readouterr().err) == (code == 1)
