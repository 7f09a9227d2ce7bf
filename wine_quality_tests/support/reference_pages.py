"""The page of the environment variables, made from the code; and all pages that are made so.

``python -m wine_quality_tests.support.reference_pages`` writes them (``make reference``); a test
compares them with the code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import ModuleType

from pydantic import BaseModel, SecretStr

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality.settings import allowed, internal, places, platform, runs, serving
from wine_quality.settings.setting import Setting
from wine_quality_tests.support import reference_commands, reference_run_config
from wine_quality_tests.support.reference_tables import table

PAGE = PROJECT_ROOT / "docs" / "reference" / "environment-variables.md"
_NAME = re.compile(r"WINE_QUALITY_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_{*…]|_)")

Rows = list[tuple[str, str, str]]
# Nobody but the project itself sets them.
INTERNAL = {
    setting.removeprefix("WINE_QUALITY_")
    for setting in vars(internal).values()
    if isinstance(setting, Setting)
}


def rows_of(subject: ModuleType) -> Rows:
    """A row for each setting, and for each MLflow version where they have their own."""
    rows = []
    for setting in vars(subject).values():
        if not isinstance(setting, Setting):
            continue
        name = setting.removeprefix("WINE_QUALITY_")
        if setting is not runs.MLFLOW_URI:
            rows.append((name, setting.default, setting.meaning))
        if setting in (runs.MLFLOW_URI, runs.MLFLOW_UI):
            own = setting is runs.MLFLOW_URI
            for key in reversed(MLFLOW_VERSIONS):
                of = setting.of_version(key).removeprefix("WINE_QUALITY_")
                default = setting.default if own else f"`{setting}`"
                what = "tracking server of its runs" if own else "its MLflow UI"
                rows.append((of, default, f"MLflow {key}: {what}"))
    return rows


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
        ("Places", rows_of(places)),
        ("Runs", rows_of(runs)),
        ("A watched place", of_fields("WATCH", WatchedSource)),
        ("Notices", of_fields("NOTIFY", NoticeSettings, "channels")),
        ("What run config may reach", rows_of(allowed)),
        ("Serving", rows_of(serving)),
        ("The platform", rows_of(platform)),
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
