"""The page of all fields of run config, made from the definitions that Dagster loads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wine_quality_tests.support.reference_tables import table

_FORM_OF_NUMBERS = " Write 0.001 or 1.0e-3: 1e-3 and 0,001 are text to YAML."


def page() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    from wine_quality.definitions import defs

    yield "# All fields of run config"
    yield ""
    yield "Made from the code by `make reference`. [Run config](run-config.md) explains them with"
    yield "examples."
    yield "Numbers are written as `0.001` or `1.0e-3`; YAML reads `1e-3` and `0,001` as text."
    shown: dict[tuple[str, str], list[str]] = {}
    jobs = sorted(defs.resolve_all_job_defs(), key=lambda job: job.name != "wine_quality_model")
    for job in jobs:
        sections = job.run_config_schema.run_config_schema_type.fields  # type: ignore[attr-defined]
        for section in ("resources", "ops"):
            for name, field in _fields(sections, section):
                rows = list(_rows(_config(field.config_type)))
                known = shown.setdefault((section, name), [])
                if rows and not known:
                    known.append(job.name)
                    yield from ("", f"## `{section}.{name}.config`", "")
                    if job.name.startswith("__"):
                        yield from ("Of an asset that `wine_quality_model` leaves out.", "")
                    elif job.name != "wine_quality_model":
                        yield from (f"Of the job `{job.name}`.", "")
                    yield from table(("field", "type", "default", "meaning"), rows)


def _fields(sections: Any, section: str) -> list[tuple[str, Any]]:
    fields = getattr(getattr(sections.get(section), "config_type", None), "fields", {})
    return sorted(fields.items())


def _config(kind: Any) -> Any:
    """The type below ``config`` of an op or a resource."""
    field = getattr(kind, "fields", {}).get("config")
    return field.config_type if field else None


def _rows(kind: Any, above: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, field in getattr(kind, "fields", {}).items():
        if field.config_type.kind.name == "STRICT_SHAPE":
            yield from _rows(field.config_type, f"{above}{name}.")
            continue
        default = field.default_value if field.default_provided else None
        meaning = (field.description or "").replace(_FORM_OF_NUMBERS, "")
        yield f"`{above}{name}`", _type(field.config_type), _shown(default), meaning


def _type(kind: Any) -> str:
    if kind.kind.name == "MAP":
        return "map"
    inner = getattr(kind, "inner_type", None)
    if inner is not None:
        name = _type(inner)
        return f"list of {name}" if kind.kind.name == "ARRAY" else name
    values = getattr(kind, "enum_values", None)
    if values:
        return " or ".join(f"`{value.config_value}`" for value in values)
    names = {"String": "text", "Int": "whole number", "Float": "number", "Bool": "true or false"}
    named = kind.given_name or ""
    if named in names:
        return names[named]
    scalar = getattr(kind, "scalar_type", None)
    if scalar is not None:
        return _type(scalar)
    return "map" if kind.kind.name in ("PERMISSIVE_SHAPE", "STRICT_SHAPE") else named.lower()


def _shown(default: Any) -> str:
    if default is None or default == "":
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    return f"`{getattr(default, 'value', default)}`"
