"""The descriptions that the Dagster UI shows: each is there, and is Markdown that reads as text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from wine_quality.definitions import defs

# Words of our own that newcomers stopped at.
RIDDLES = re.compile(r"^What |\b(tells? of|told|streaming engine|see the job)\b", re.IGNORECASE)


def shown() -> Iterator[tuple[str, Any]]:
    """The name and the description of all that the UI lists."""
    graph = defs.resolve_asset_graph()
    for asset in graph.assets_defs:
        yield from (
            (f"asset {spec.key.to_user_string()}", spec.description) for spec in asset.specs
        )
        yield from ((f"check {one.name}", one.description) for one in asset.check_specs)
    for kind in ("jobs", "schedules", "sensors"):
        for one in getattr(defs, kind) or []:
            yield f"{kind} {one.name}", getattr(one, "description", None)
    for job in defs.jobs or []:
        resolved = defs.resolve_job_def(job.name)
        for name, resource in resolved.resource_defs.items():
            if name in (defs.resources or {}):
                yield f"resource {name}", resource.description
        yield from _fields(resolved.run_config_schema.config_type, job.name)


def _fields(config_type: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, field in getattr(config_type, "fields", {}).items():
        if ".config" in path:
            yield f"{path}.{name}", field.description
        yield from _fields(field.config_type, f"{path}.{name}")


def test_whatever_the_ui_lists_has_a_description():
    found = dict(shown())
    assert {"sensors mlflow_run_closer", "resource io_manager", "check data_contract"} <= set(found)
    assert [name for name, text in found.items() if not (text or "").strip()] == []


def test_no_description_has_an_indented_line_which_markdown_shows_as_code():
    assert [name for name, text in shown() if re.search(r"^ {4}", text or "", re.MULTILINE)] == []


def test_descriptions_use_the_words_of_the_field():
    assert [(name, text) for name, text in shown() if RIDDLES.search(text or "")] == []
