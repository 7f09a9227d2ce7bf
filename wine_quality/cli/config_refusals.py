"""Why run config was refused, a sentence for each value, with what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from wine_quality.execution.failure_reasons import root_of

if TYPE_CHECKING:
    from dagster import JobDefinition

_COMMA = re.compile(r"[-+]?\d+,\d+")


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
            hint = _number_hint(_value_at(config, levels), data.config_type_snap.given_name)
            refusals.append(f"{place} {hint}" if hint else problem.message)
        elif reason != "FAILED_POST_PROCESSING":
            refusals.append(problem.message)
        elif data.cls_name == "RefusedValueError":
            refusals += [f"{place}.{value}" for value in root_of(data).split("\n")]
        else:
            refusals.append(f"{place}: {root_of(data)}")
    return refusals


def _unknown(name: str, place: str, known: list[str], renamed: Mapping[str, str]) -> str:
    whole = f"{place}.{name}" if place else name
    if name in renamed:
        return f"{whole} is not of this job: {renamed[name]}."
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    listed = f"There are {', '.join(sorted(known))}." if known else "Nothing is expected there."
    return f"{whole} is unknown; {hint}{listed}"


def _number_hint(value: Any, expected: str | None) -> str | None:
    """What to write for a number that YAML reads as text; None where that is not the mistake."""
    if not isinstance(value, str) or not str(expected).startswith(("Float", "Int")):
        return None
    text = value.strip()
    if _COMMA.fullmatch(text):
        return f'is "{value}", which is text; write {text.replace(",", ".")}, with a point.'
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite():
        return None
    if "e" not in text.lower():
        return f'is "{value}" in quotes, which is text; write {text} without them.'
    plain = [f"{number:f}"] if -10 <= number.adjusted() <= 10 else []
    choices = " or ".join([*plain, _as_yaml_reads(number)])
    return f'is "{value}", which YAML reads as text; write {choices}.'


def _as_yaml_reads(number: Decimal) -> str:
    """With a point and the exponent's sign, without which YAML takes it for text."""
    mantissa, _, exponent = f"{number:e}".partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{int(exponent):+d}"


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
