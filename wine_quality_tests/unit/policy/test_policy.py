"""Refusals of run config, on any MLflow version; every field is checked by something."""

import importlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import Config, job, op

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.escaping import escaped
from wine_quality.packaging.image import dockerfile
from wine_quality.packaging.repository import write_repository
from wine_quality.packaging.served_model import ServedModel, UnservableModelError
from wine_quality.policy import databases, fields, names, places, settings, spark
from wine_quality.policy.fields import check_fields
from wine_quality.policy.names import BadNameError, inside
from wine_quality.policy.settings import EVERYTHING, ForbiddenConfigError
from wine_quality_tests.attacks.hand_made import Payload
from wine_quality_tests.support import other_jobs


@pytest.fixture(autouse=True)
def restricted(monkeypatch: pytest.MonkeyPatch, _whoever_tests_may_read_all, home: Path) -> None:
    """As the Launchpad is when nobody has set anything."""
    for name in (*EVERYTHING, "WINE_QUALITY_WATCH_PLACE", "WINE_QUALITY_HISTORY"):
        monkeypatch.delenv(name, raising=False)


# Every field of every job.


def texts_of(config_type: Any, path: str = "") -> Iterator[str]:
    """Paths of the fields below a config type that take text, or anything at all."""
    kind = config_type.kind.name
    if kind in ("ARRAY", "NONEABLE"):
        yield from texts_of(config_type.inner_type, path)
    elif kind == "SCALAR_UNION":  # what is given, or {env: NAME}
        yield from texts_of(config_type.scalar_type, path)
    elif kind in ("MAP", "ANY"):
        yield path
    elif kind == "SCALAR":
        if config_type.given_name not in ("Int", "Float", "Bool"):
            yield path
    elif kind != "ENUM":
        if kind == "PERMISSIVE_SHAPE":
            yield path
        for name, field in config_type.fields.items():
            yield from texts_of(field.config_type, f"{path}.{name}" if path else name)


def test_every_field_of_run_config_is_held_by_something():
    """A new field that takes text: does it name a host, a path, a command, a variable? Give it a
    check in policy/fields.py, or the reason why it needs none."""
    from wine_quality.definitions import defs

    found = {
        path
        for job in defs.get_repository_def().get_all_jobs()
        for path in texts_of(job.run_config_schema.config_type)
    }
    listed = list(fields.all_fields())
    assert found - set(listed) == set(), "new fields: check them, or say why not"
    assert set(listed) - found == set(), "these fields are there no longer"
    assert len(listed) == len(set(listed)), "a field has two entries"
    assert all(len(reason) > 10 for reason in fields.HARMLESS.values())


class Inner(Config):
    url: str | None = None
    numbers: list[int] = []
    texts: list[str] = []


class New(Config):
    inner: Inner = Inner()
    many: list[Inner] = []
    by_name: dict[str, str] = {}
    anything: Any = None
    fine: float = 1.0


def test_the_walk_finds_what_a_new_field_may_be():
    @op
    def new_op(config: New) -> None: ...

    @job
    def new_job() -> None:
        new_op()

    found = {path for path in texts_of(new_job.run_config_schema.config_type) if "new_op" in path}
    start = "ops.new_op.config"
    assert found == {
        f"{start}.{name}"
        for name in (
            *("inner.url", "inner.texts", "many.url", "many.texts", "by_name", "anything"),
        )
    }


@pytest.mark.parametrize("where", fields.CHECKED_WHERE_USED.values())
def test_functions_that_are_said_to_check_are_there(where):
    module, _, name = where.partition(",")[0].rpartition(".")
    assert callable(getattr(importlib.import_module(f"wine_quality.{module}"), name))


# What is refused, by the setting that would allow it.


def nested(field: str, value: Any) -> dict[str, Any]:
    first, _, rest = field.partition(".")
    return {first: nested(rest, value) if rest else value}


ENGINE = "resources.training_engine.config"
MLFLOW = "resources.mlflow.config"
DEPLOYMENT = "ops.model_deployment.config"
COPY = "-XX:OnOutOfMemoryError='cp /proc/self/environ /tmp/x'"
ATTACKS = [
    (f"{ENGINE}.spark_options", {"spark.driver.extraJavaOptions": COPY}, settings.SPARK_OPTIONS),
    (f"{ENGINE}.spark_options", {"spark.jars.packages": "evil:evil:1"}, settings.SPARK_OPTIONS),
    (f"{ENGINE}.spark_options", {"spark.submit.pyFiles": "/x.py"}, settings.SPARK_OPTIONS),
    (f"{ENGINE}.spark_options", {"spark.plugins": "evil"}, settings.SPARK_OPTIONS),
    (f"{ENGINE}.spark_options", {"spark.driver.memory": f"1g {COPY}"}, settings.SPARK_OPTIONS),
    (f"{ENGINE}.spark_options", {"spark.driver.memory\n": "1g"}, settings.SPARK_OPTIONS),
    (f"{ENGINE}.spark_options", {"spark.executorEnv.X": "y"}, settings.SPARK_OPTIONS),
    (f"{ENGINE}.spark_master", "spark://evil:7077", settings.SPARK_MASTERS),
    (f"{ENGINE}.spark_master", "k8s://https://evil", settings.SPARK_MASTERS),
    (f"{ENGINE}.spark_master", "local-cluster[2,1,1024]", settings.SPARK_MASTERS),
    ("resources.metrics_history.config.url", "postgresql://evil/x", settings.METRICS_URLS),
    ("resources.metrics_history.config.url", "postgresql:///x?host=evil", settings.METRICS_URLS),
    (
        "resources.metrics_history.config.url",
        "postgresql://db:5432/metrics?passfile=/etc/shadow",
        settings.METRICS_URLS,
    ),
    ("resources.metrics_history.config.url", "postgresql://db,evil/metrics", settings.METRICS_URLS),
    (
        "resources.metrics_history.config.url",
        "postgresql://db/metrics%20host%3Devil",
        settings.METRICS_URLS,
    ),
    ("resources.metrics_history.config.url", "postgresql://evil\\@db/metrics", "METRICS_URLS"),
    ("resources.wine_history.config.base_path", "http://evil/x", "folder or s3"),
    ("resources.wine_history.config.base_path", "reference://x", "folder or s3"),
    ("resources.wine_history.config.base_path", "reference::/tmp/x.json", "folder or s3"),
    ("resources.io_manager.config.base_path", "simplecache::http://evil", "base_path"),
    ("resources.io_manager.config.base_path", "/etc", settings.OUTPUTS),
    (f"{DEPLOYMENT}.base_path", "file:///etc", settings.OUTPUTS),
    (f"{DEPLOYMENT}.base_path", "~/x", settings.OUTPUTS),
    (f"{DEPLOYMENT}.local_server", "http://169.254.169.254", settings.ENDPOINTS),
    (f"{DEPLOYMENT}.local_server", "http://127.0.0.1\\@evil", "local_server"),
    (f"{DEPLOYMENT}.endpoint", "http://127.0.0.1:5000", settings.ENDPOINTS),
    (f"{DEPLOYMENT}.endpoint", "file:///etc/passwd", "endpoint"),
    (f"{DEPLOYMENT}.manifests.image", "evil.example.org/x:1", settings.IMAGES),
    (f"{DEPLOYMENT}.version", "../../x", f"{DEPLOYMENT}.version"),
    (f"{MLFLOW}.ui_url", "javascript:alert(1)//", f"{MLFLOW}.ui_url"),
    (f"{MLFLOW}.ui_url", "javascript://x/%0aalert(1)", f"{MLFLOW}.ui_url"),
    (f"{MLFLOW}.registered_model_name", "../../home", f"{MLFLOW}.registered_model_name"),
    (f"{MLFLOW}.registered_model_name", "..", f"{MLFLOW}.registered_model_name"),
    (f"{MLFLOW}.registered_model_name", "a\x1b[2Jb", f"{MLFLOW}.registered_model_name"),
    (f"{MLFLOW}.experiment_name", "a\nb", f"{MLFLOW}.experiment_name"),
]
IDS = [f"{field.rpartition('.')[2]}-{number}" for number, (field, _, _) in enumerate(ATTACKS)]


@pytest.mark.parametrize(("field", "value", "named"), ATTACKS, ids=IDS)
def test_what_run_config_may_not_name(monkeypatch, field, value, named):
    monkeypatch.setenv(databases.VARIABLE, "postgresql://db:5432/metrics")
    with pytest.raises(ForbiddenConfigError) as refused:
        check_fields(nested(field, value))
    message = str(refused.value)
    assert named in message and field in message
    assert message.isprintable()


@pytest.mark.parametrize(
    ("field", "value", "setting"),
    [
        (f"{ENGINE}.spark_options", {"spark.archives": "env.tgz#env"}, "spark.archives,x"),
        (f"{ENGINE}.spark_master", "spark://a:7077,b:7077", "spark://a:7077,spark://b:7077"),
        (f"{ENGINE}.spark_master", "yarn", "yarn"),
        ("resources.metrics_history.config.url", "postgresql://db/m", "postgresql://u:p@DB:5432/m"),
        ("resources.wine_history.config.base_path", "/data/mine", "/data"),
        ("resources.wine_history.config.base_path", "s3://wines/mine/", "s3://wines/"),
        (f"{DEPLOYMENT}.endpoint", "http://seldon-mesh/seldon/x/y", "http://seldon-mesh:80"),
        (f"{DEPLOYMENT}.manifests.image", "registry.example.org/wine:7", "registry.example.org"),
    ],
)
def test_what_the_platform_may_allow(monkeypatch, field, value, setting):
    config = nested(field, value)
    names_of = {
        "spark_options": settings.SPARK_OPTIONS,
        "spark_master": settings.SPARK_MASTERS,
        "url": settings.METRICS_URLS,
        "base_path": settings.OUTPUTS,
        "endpoint": settings.ENDPOINTS,
        "image": settings.IMAGES,
    }
    variable = names_of[field.rpartition(".")[2]]
    monkeypatch.setenv(variable, "")
    with pytest.raises(ForbiddenConfigError, match=rf"\${variable}"):
        check_fields(config)
    monkeypatch.setenv(variable, setting)
    check_fields(config)


def test_what_needs_no_setting(monkeypatch, home):
    monkeypatch.setenv("WINE_QUALITY_ASSETS", "s3://assets/values")
    for config in (
        nested(f"{ENGINE}.spark_master", "local[4]"),
        nested(f"{ENGINE}.spark_options", dict.fromkeys(spark.HARMLESS, "4")),
        nested(f"{ENGINE}.spark_options", {"spark.executor.memory": "4g"}),
        nested("resources.wine_history.config.base_path", str(home / "history" / "mine")),
        nested("resources.wine_history.config.base_path", "s3://own-bucket/Rot wein"),
        nested("resources.io_manager.config.base_path", "s3://assets/values/mine"),
        nested("resources.io_manager.config.base_path", ""),
        nested(f"{DEPLOYMENT}.local_server", "http://localhost:8080"),
        nested(f"{DEPLOYMENT}.version", "12"),
        nested(f"{MLFLOW}.ui_url", "https://mlflow.example.org/ui"),
        nested(f"{MLFLOW}.registered_model_name", "Müller's Weine 2026"),
        nested(f"{MLFLOW}.experiment_name", "/Shared/Güte O'Brien"),
        {},
    ):
        check_fields(config)


def test_no_input_comes_from_run_config():
    """Dagster would unpickle one without a type, when a launch picks some of a job's ops. Those
    here have types that Dagster can load from no config, so it refuses to pick such ops alone."""
    from dagster import DagsterInvalidSubsetError

    from wine_quality.cli.jobs import sweep_job

    picked = other_jobs.untyped().get_subset(op_selection=["untyped_input"])
    assert "ops.untyped_input.inputs.wines.pickle.path" in set(
        texts_of(picked.run_config_schema.config_type)
    )
    for name in ("sweep_points", "offer_best"):
        with pytest.raises(DagsterInvalidSubsetError, match="no way of being resolved|invalid"):
            sweep_job().get_subset(op_selection=[name])
    for given in ({"pickle": {"path": "/x"}}, {"json": {"path": "/x"}}, {"value": {}}):
        with pytest.raises(ForbiddenConfigError, match=r"ops\.sweep_points\.inputs is in the run"):
            check_fields(nested("ops.sweep_points.inputs.sweep_data", given))


def test_a_variable_is_checked_by_its_value(monkeypatch):
    monkeypatch.setenv("MINE", "/etc")
    with pytest.raises(ForbiddenConfigError, match=settings.OUTPUTS):
        check_fields(nested("resources.io_manager.config.base_path", {"env": "MINE"}))


def test_the_metrics_database_is_the_environments_own_text(monkeypatch):
    own = "postgresql+psycopg2://metrics:hunter2@db:5432/metrics?sslmode=require"
    monkeypatch.setenv(databases.VARIABLE, own)
    for given in (
        own,
        "postgresql://DB/metrics",
        "postgresql://metrics@db/metrics",
        "postgresql://metrics:hunter2@db:5432/metrics",
    ):
        assert databases.allowed_metrics_url(given) == own
    for given in ("postgresql://other@db/metrics", "postgresql://db:5433/metrics", "mysql://db/m"):
        with pytest.raises(ForbiddenConfigError) as refused:
            databases.allowed_metrics_url(given)
        assert "hunter2" not in str(refused.value)


def test_a_place_behind_a_link(tmp_path, home):
    own = home / "history"
    own.mkdir(parents=True)
    (own / "out").symlink_to(tmp_path)
    with pytest.raises(ForbiddenConfigError, match=settings.OUTPUTS):
        places.check_output(str(own / "out"), "base_path")


# Names and paths.


@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "../x", "a/b", "a\\b", "a:b", "a\0b", "a\nb", " a", "a\u202eb", "x" * 201]
    + ["ü" * 101],
)
def test_names_that_are_no_folder(name):
    with pytest.raises(BadNameError) as refused:
        names.check_model_name(name, "FIELD")
    assert str(refused.value).startswith("FIELD is")


@pytest.mark.parametrize("text", ["", "0", "01", "+1", " 1", "1_0", "١", "../1", "champion", "1\n"])
def test_what_is_no_version(text):
    with pytest.raises(BadNameError):
        names.check_version_number(text)


def test_no_path_leaves_its_root(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    for folder in (root, other):
        folder.mkdir()
    (root / "out").symlink_to(other)
    (root / "self").symlink_to(root)
    assert inside(root, "Müller's Weine", "1") == root / "Müller's Weine" / "1"
    for parts in (["..", "other"], ["out"], ["out", "x"], ["self"], ["/etc"], ["a/../.."], [""]):
        with pytest.raises(BadNameError):
            inside(root, *parts)


def served(name: str) -> ServedModel:
    columns, packages = (("alcohol", "FP64"),), (("scikit-learn", "1.5.0"),)
    return ServedModel(
        name, "1", "run", "2.1.1", "3.11", "model.pkl", "cloudpickle", columns, packages, ()
    )


def test_no_models_name_removes_a_folder(tmp_path):
    """``write_repository`` replaces ``folder/<name>``, and MLflow before 3 takes any name."""
    files, folder, victim = tmp_path / "files", tmp_path / "folder", tmp_path / "victim"
    for made in (files, folder, victim):
        made.mkdir()
    for name in ("model.pkl", "MLmodel"):
        (files / name).touch()
    (victim / "kept").touch()
    (folder / "linked").symlink_to(victim)
    for name in ("../victim", "..", ".", str(victim), "linked", "x/../../victim"):
        with pytest.raises(UnservableModelError):
            write_repository(served(name), files, "", folder)
        assert (victim / "kept").exists() and folder.exists()
    place = write_repository(served("Müller's Weine"), files, "", folder)
    assert place == folder / "Müller's Weine"


def test_no_models_name_writes_a_line_of_the_dockerfile():
    import re
    import shlex

    name = "a\" EVIL=1 $HOME O'Brien"
    text = dockerfile(served(name))
    env = re.search(r"^ENV ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert env is not None
    pairs = dict(one.split("=", 1) for one in shlex.split(env[1].replace("\\\n", " ")))
    # Of a shell's quoting, Docker shares that of quotes and of $.
    assert pairs["PYTHONPATH"] == f"/mnt/models/{name}".replace("$", r"\$")
    assert "EVIL" not in pairs


def test_text_from_outside_is_shown_in_one_line():
    assert escaped("a\nb\x1b[31m\u202ec\u2028\udcff\x85") == (r"a\nb\x1b[31m\u202ec\u2028\xff\x85")
    assert escaped("Rot wein, Müller's ≤ 7") == "Rot wein, Müller's ≤ 7"


# A whole run, as a launcher asks for it.


@pytest.mark.slow
def test_a_run_fails_before_it_begins_and_says_why(
    mlflow_version: MlflowVersion, tmp_path, forked_workers
):
    from dagster import DagsterInstance, execute_job, reconstructable

    from wine_quality.cli.jobs import main_job

    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "kept").touch()
    up = "../" * 20
    for field, value, text in (
        (
            f"{ENGINE}.spark_options",
            {"spark.driver.extraJavaOptions": COPY},
            settings.SPARK_OPTIONS,
        ),
        (f"{MLFLOW}.registered_model_name", f"{up}{victim}", "registered_model_name"),
        ("resources.metrics_history.config.url", "postgresql://evil/x", settings.METRICS_URLS),
    ):
        config = nested(field, value)
        config.setdefault("resources", {}).setdefault("mlflow", {"config": {}})
        config["resources"]["mlflow"]["config"]["version"] = mlflow_version.key
        with DagsterInstance.local_temp(str(tmp_path)) as instance:
            done = execute_job(reconstructable(main_job), instance, run_config=config)
            assert not done.success
            logs = str(instance.all_logs(done.run_id))
        assert text in logs and field in logs
        assert "STEP_START" not in logs
    assert (victim / "kept").exists()


@pytest.mark.slow
def test_a_pickle_that_run_config_names_is_not_loaded(tmp_path):
    """By a launch that picks one op, which is then to get its input from run config."""
    from dagster import DagsterInstance, execute_job, reconstructable

    canary, delivered = tmp_path / "canary", tmp_path / "wines.csv"
    delivered.write_bytes(pickle.dumps(Payload(canary)))
    config = nested("ops.untyped_input.inputs.wines.pickle.path", str(delivered))
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        done = execute_job(
            reconstructable(other_jobs.untyped), instance, config, op_selection=["untyped_input"]
        )
        assert not done.success
        assert "ops.untyped_input.inputs" in str(instance.all_logs(done.run_id))
    assert not canary.exists()
