"""The page of the environment variables, made from the code; and all pages that are made so.

``python -m wine_quality_tests.support.reference_pages`` writes them (``make reference``); a test
compares them with the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import BaseModel, SecretStr

from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support import reference_commands, reference_run_config
from wine_quality_tests.support.reference_tables import table

PAGE = PROJECT_ROOT / "docs" / "reference" / "environment-variables.md"
_NAME = re.compile(r"WINE_QUALITY_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_{*…]|_)")

Rows = list[tuple[str, str, str]]

PLACES: Rows = [
    (
        "HOME",
        "`.wine_quality` in the checkout; without one `~/.local/share/wine_quality`",
        "values, history, embedded stores, the Dagster home",
    ),
    (
        "ENVIRONMENTS",
        "`.venvs` in the checkout; without one `environments` in the home's default",
        "where environments are built",
    ),
    (
        "BUILD_ENVIRONMENTS",
        "1",
        "0: a run fails if its MLflow version's environment is not built yet",
    ),
    ("ASSETS", "`assets` in the home", "values between steps: a folder or `s3://bucket/prefix`"),
    ("ASSETS_KEY", "", "S3 access key for these values"),
    ("ASSETS_SECRET", "", "S3 secret key for these values"),
    ("ASSETS_ENDPOINT", "", "address of an S3 store other than AWS"),
    ("ASSETS_REGION", "", "its region"),
    ("HISTORY", "`history` in the home", "accepted files: a folder or `s3://bucket/prefix`"),
    (
        "DEPLOYMENTS",
        "beside the assets",
        "files that serve a model: a folder or `s3://bucket/prefix`",
    ),
    ("DATA_KEY", "the AWS variables", "S3 key for reading wines"),
    ("DATA_SECRET", "the AWS variables", "S3 secret for reading wines"),
    ("DATA_ENDPOINT", "the AWS variables", "address of an S3 store other than AWS"),
    ("DATA_REGION", "the AWS variables", "its region"),
]
RUNS: Rows = [
    ("MLFLOW", "3", "the version of runs whose config names none"),
    ("MLFLOW_URI_3", "`MLFLOW_TRACKING_URI`, else embedded", "tracking server of runs of MLflow 3"),
    ("MLFLOW_URI_2_1_1", "`MLFLOW_TRACKING_URI`, else embedded", "of MLflow 2.1.1"),
    ("MLFLOW_URI_1_26", "`MLFLOW_TRACKING_URI`, else embedded", "of MLflow 1.26"),
    (
        "FROM_MLFLOW_TRACKING_PASSWORD",
        "`MLFLOW_TRACKING_PASSWORD`",
        "of `make move`'s source alone; so with each variable of MLflow or of an artifact store",
    ),
    ("TO_MLFLOW_TRACKING_PASSWORD", "`MLFLOW_TRACKING_PASSWORD`", "of its target alone"),
    ("MLFLOW_UI", "the tracking server", "address of the MLflow UI for links, if another"),
    ("MLFLOW_UI_3", "`WINE_QUALITY_MLFLOW_UI`", "the same for MLflow 3"),
    ("MLFLOW_UI_2_1_1", "`WINE_QUALITY_MLFLOW_UI`", "for MLflow 2.1.1"),
    ("MLFLOW_UI_1_26", "`WINE_QUALITY_MLFLOW_UI`", "for MLflow 1.26"),
    (
        "MLFLOW_UI_IDLE_SECONDS",
        "900",
        "seconds without a request after which an MLflow UI of `make up` ends",
    ),
    ("METRICS_URL", "no history", "PostgreSQL database of the metrics history"),
    (
        "WARM_MINUTES",
        "10",
        "minutes that a warm process waits for the next run; 0: no warm processes",
    ),
    ("WARM_MIB", "400", "MiB that all warm processes may use together, when more than one is kept"),
    ("CRON", "`0 6 * * 1`, stopped", "times of `regular_retraining`; setting it starts it"),
    ("TIMEZONE", "UTC", "time zone of the schedules, such as `Europe/Berlin`"),
    ("FRESH_DAYS", "30", "days after which the UI shows a model as stale"),
    ("SIGNING_KEY", "the key file", "key that signs model versions"),
    ("SIGNING_KEY_FILE", "`signing.key` in the home", "file of that key"),
    (
        "LOADABLE_FORMATS",
        "what the version writes",
        "model formats that may be loaded, with commas",
    ),
]
ALLOWED: Rows = [
    ("ALLOWED_SCHEMES", "https,s3,file", "schemes of `csv_url`"),
    ("ALLOWED_HOSTS", "all with public addresses", "hosts of `csv_url`; `*`: all"),
    ("ALLOWED_NETWORKS", "none", "private networks that those hosts may be in, as CIDR"),
    ("ALLOWED_BUCKETS", "all", "buckets of `csv_url`"),
    ("ALLOWED_ROOTS", "the watched folder", "folders that files may be read from"),
    ("ALLOWED_TRACKING_URIS", "the environment's own", "MLflow servers that run config may name"),
    ("ALLOWED_METRICS_URLS", "the environment's own", "databases that run config may name"),
    (
        "ALLOWED_OUTPUTS",
        "`s3://*`, and the environment's own",
        "places that run config may write to (`base_path`)",
    ),
    (
        "ALLOWED_ENDPOINTS",
        "this machine, for `local_server`",
        "model servers that run config may ask (`endpoint`, `local_server`)",
    ),
    ("ALLOWED_IMAGES", "the project's own", "images that run config may deploy"),
    ("ALLOWED_SPARK_MASTERS", "local", "Spark masters that run config may name"),
    ("ALLOWED_SPARK_OPTIONS", "sizes, numbers, times", "Spark properties that run config may set"),
    (
        "ALLOWED_CONFIG_VARIABLES",
        "the MLflow servers' addresses",
        "variables that run config may read with `{env: NAME}`",
    ),
    ("ALLOWED_UI_HOSTS", "this machine's", "further host names under which the UIs answer"),
]
SERVING: Rows = [
    ("SERVE_MAX_ROWS", "100000", "rows of one request"),
    ("SERVE_MAX_BYTES", "33554432", "bytes of one request, unpacked"),
    ("SERVE_MAX_SECONDS", "60", "seconds in which a request must have arrived"),
    ("SERVE_LOG_INPUTS", "false", "true: predictions are stored with their inputs"),
    ("SERVE_REPOSITORY_API", "false", "true: models may be loaded and unloaded by request"),
]
PLATFORM: Rows = [
    ("ENV_FILE", "`.env`, else `.env.example`", "settings of `make stack`"),
    (
        "KEEP_PREDICTIONS_DAYS",
        "all",
        "days after which `make metrics DO=policies` has them deleted",
    ),
    ("KEEP_METRICS_DAYS", "all", "the same, for metrics of registered versions"),
    ("COMPRESS_DAYS", "never", "days after which TimescaleDB compresses both"),
    ("POSTGRES_BIN", "searched for", "folder of PostgreSQL's programs for `make stack`"),
    (
        "STORE",
        "`minio` on `PATH`, else `nanio`",
        "`nanio`, `minio` or `seaweedfs`: S3 of `make stack`",
    ),
]
# Set by the project for its own processes, or for its tests: nobody else sets them.
INTERNAL = {"MLFLOW_UIS", "PARENT_PID", "RUN_VARIABLES", "TERMINAL_FD", "WARM_FOLDER"}


def names_in_code() -> set[str]:
    """Every ``WINE_QUALITY_…`` that stands in the package, without its prefix."""
    files = (PROJECT_ROOT / "wine_quality").rglob("*.py")
    found = {name for file in files for name in _NAME.findall(file.read_text())}
    return {name.removeprefix("WINE_QUALITY_") for name in found}


def of_fields(prefix: str, settings: type[BaseModel], bare: str | None = None) -> Rows:
    """A row for each field; ``bare`` is the one whose variable is the prefix itself."""
    rows = []
    for name, field in settings.model_fields.items():
        variable = prefix if name == bare else f"{prefix}_{name.upper()}"
        default = field.get_default(call_default_factory=True)
        if isinstance(default, SecretStr):
            default = ""
        if isinstance(default, tuple):
            default = ", ".join(default)
        shown = getattr(default, "value", default)
        rows.append((variable, "" if shown is None else str(shown), field.description or ""))
    return rows


def page() -> str:
    """The page of the environment variables."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    from wine_quality.defs.data.new_file_sensor import WatchedSource
    from wine_quality.notices.settings import NoticeSettings

    yield "# Environment variables"
    yield ""
    yield "Made from the code by `make reference`. Variables of Dagster, MLflow and AWS"
    yield "(`DAGSTER_HOME`, `MLFLOW_TRACKING_USERNAME`, `AWS_…`) are not here."
    for title, rows in (
        ("Places", PLACES),
        ("Runs", RUNS),
        ("A watched place", of_fields("WATCH", WatchedSource)),
        ("Notices", of_fields("NOTIFY", NoticeSettings, "channels")),
        ("What run config may reach", ALLOWED),
        ("Serving", SERVING),
        ("The platform", PLATFORM),
    ):
        yield from ("", f"## {title}", "")
        cells = [(f"`WINE_QUALITY_{name}`", default, meaning) for name, default, meaning in rows]
        yield from table(("variable", "default", "meaning"), cells)


PAGES = {
    PAGE: page,
    PAGE.with_name("command-line.md"): reference_commands.page,
    PAGE.with_name("run-config-fields.md"): reference_run_config.page,
}


def main() -> None:
    for file, text in PAGES.items():
        file.write_text(text())


if __name__ == "__main__":
    main()
