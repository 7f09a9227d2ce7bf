"""The files in ``deploy`` that name MLflow versions are what the table says (`make versions`)."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from wine_quality.environments.deploy_files import (
    FILES,
    UnknownBlockError,
    deploy_files,
    newest_first,
)
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT

DEPLOY = PROJECT_ROOT / "deploy"
KEYS = r"2[._-]1[._-]1\b|\b1[._-]26\b|_1_26"


def test_the_files_are_what_the_table_says():
    for file, text in deploy_files(DEPLOY, newest_first()).items():
        assert file.read_text() == text, f"{file.name}: make versions"


def test_each_server_has_a_port_of_its_own():
    ports = [version.port for version in MLFLOW_VERSIONS.values()]
    assert len(set(ports)) == len(ports)


def test_no_other_line_of_these_files_names_a_version():
    """Without the blocks, but for comments that take one as an example."""
    for name in FILES:
        text = re.sub(
            r"(#|--) versions:.*?end of versions", "", (DEPLOY / name).read_text(), flags=re.S
        )
        lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        assert [line for line in lines if re.search(KEYS, line)] == [], name


@pytest.fixture
def with_a_new_version(tmp_path) -> dict[str, str]:
    """The files after an entry in the table, and nothing else, by their names."""
    copy = shutil.copytree(DEPLOY, tmp_path / "deploy")
    new = replace(MLFLOW_VERSIONS["3"], key="4.1", client="4.1.", port=5103, variables={"A": "1"})
    written = deploy_files(copy, (new, *newest_first()))
    for file, text in written.items():
        file.write_text(text)
    # Once more changes nothing.
    assert deploy_files(copy, (new, *newest_first())) == written
    return {str(file.relative_to(copy)): text for file, text in written.items()}


def test_a_new_version_is_in_the_compose_file(with_a_new_version):
    services = yaml.safe_load(with_a_new_version["docker-compose/MLOps.yml"])["services"]
    server = services["mlflow-4-1"]
    assert server["profiles"] == ["mlflow-4.1"]
    assert server["build"]["args"] == {"MLFLOW_VERSION": "4.1"}
    assert server["environment"]["MLFLOW_POSTGRES_DB"] == "mlflow_4_1"
    assert server["environment"]["A"] == "1"
    given = services["dagster-code"]["environment"]
    assert given["WINE_QUALITY_MLFLOW_URI_4_1"].endswith("http://mlflow-4-1:5000}")
    proxy = services["proxy"]
    assert proxy["environment"]["PROXY_MLFLOW_4_1"] == "mlflow-4-1:5000"
    assert any("MLFLOW_4_1_PORT:-5103" in port for port in proxy["ports"])
    assert services["mlflow"]["build"]["args"] == {"MLFLOW_VERSION": "3"}


def test_a_new_version_is_on_the_cluster(with_a_new_version):
    file = with_a_new_version["kubernetes/mlflow-4.1.yaml"]
    assert "@" not in file
    deployment, service, _ = yaml.safe_load_all(file)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].endswith("wine-quality-mlflow:4.1")
    assert {"name": "A", "value": "1"} in container["env"]
    assert service["metadata"]["name"] == "mlflow-4-1"
    assert service["spec"]["ports"][0]["port"] == 5103
    config = yaml.safe_load(with_a_new_version["kubernetes/wine-quality.yaml"])["data"]
    assert config["WINE_QUALITY_MLFLOW_URI_4_1"] == "http://mlflow-4-1:5103"
    values = yaml.safe_load(with_a_new_version["kubernetes/dagster-values.yaml"])
    pods = values["dagsterDaemon"]["runCoordinator"]["config"]["customRunCoordinator"]["config"]
    assert list(pods["pods"]) == ["4.1", *reversed(MLFLOW_VERSIONS)]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("docker-compose/.env.example", "MLFLOW_4_1_PORT=5103"),
        ("docker-compose/.env.example", "WINE_QUALITY_MLFLOW_URI_4_1="),
        ("docker-compose/postgres/init.sql", "('mlflow_4_1', :'mlflow_user'),"),
        ("docker-compose/proxy/serve.sh", 'PROXY_MLFLOW_4_1_SITES=$(sites "$MLFLOW_4_1_PORT")'),
        ("docker-compose/proxy/Caddyfile", "import site {$MLFLOW_4_1_PORT} {$PROXY_MLFLOW_4_1}"),
    ],
)
def test_a_new_version_is_in_the_other_files(with_a_new_version, file, line):
    assert line in [one.strip() for one in with_a_new_version[file].splitlines()]


def test_a_block_that_nothing_writes_is_named(tmp_path):
    copy = shutil.copytree(DEPLOY, tmp_path / "deploy")
    file: Path = copy / FILES[0]
    file.write_text(file.read_text().replace("versions: ports", "versions: harbours"))
    with pytest.raises(UnknownBlockError, match="harbours"):
        deploy_files(copy, newest_first())
