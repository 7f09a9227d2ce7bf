"""Why run config was refused, a sentence for each value, with what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wine_quality.dagster_support.config_hints import full_name, name_hint, number_hint
from wine_quality.execution.failure_reasons import root_of

if TYPE_CHECKING:
    from dagster import JobDefinition


def refusals_of(
    error: Any, job: JobDefinition, config: Mapping[str, Any], renamed: Mapping[str, str]
) -> list[str]:
    """A sentence for each value, name or missing field.

    Args:
        error: The ``DagsterInvalidConfigError`` of ``config`` for ``job``; its own message holds
            a traceback, or the whole schema.
        renamed: A sentence for each name that people may know from elsewhere.
    """
    refusals = []
    for problem in error.errors:
        levels = list(problem.stack.levels)
        place = ".".join(levels)
        reason, data = problem.reason.name, problem.error_data
        if reason in ("FIELD_NOT_DEFINED", "FIELDS_NOT_DEFINED"):
            names = [data.field_name] if reason == "FIELD_NOT_DEFINED" else data.field_names
            known = _fields_at(job, levels)
            refusals += [_unknown(name, place, known, renamed) for name in names]
        elif reason == "RUNTIME_TYPE_MISMATCH":
            hint = number_hint(_value_at(config, levels), data.config_type_snap.given_name)
            refusals.append(f"{place} {hint}" if hint else problem.message)
        elif reason != "FAILED_POST_PROCESSING":
            refusals.append(problem.message)
        elif data.cls_name == "RefusedValueError":
            refusals += [f"{place}.{value}" for value in root_of(data).split("\n")]
        else:
            refusals.append(f"{place}: {root_of(data)}")
    return refusals


def _unknown(name: str, place: str, known: list[str], renamed: Mapping[str, str]) -> str:
    hint = name_hint(name, place, known, renamed)
    if name in renamed and hint:
        return hint
    listed = f"There are {', '.join(sorted(known))}." if known else "Nothing is expected there."
    return f"{hint or f'{full_name(name, place)} is unknown;'} {listed}"


def _fields_at(job: JobDefinition, levels: list[str]) -> list[str]:
    """The names that run config may have at a place."""
    found: Any = job.run_config_schema.run_config_schema_type
    for level in levels:
        found = getattr(found, "inner_type", found)
        if level not in getattr(found, "fields", {}):
            return []
        found = found.fields[level].config_type
    return list(getattr(getattr(found, "inner_type", found), "fields", {}))


def _value_at(config: Any, levels: list[str]) -> Any:
    for level in levels:
        if isinstance(config, Mapping):
            config = config.get(level)
        elif isinstance(config, list) and str(level).isdigit() and int(level) < len(config):
            config = config[int(level)]
        else:
            return None
    return config
