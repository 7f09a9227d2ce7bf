"""Hints at what to write in run config in place of a mistake; the same on the command line and in
the Launchpad. No Dagster is imported here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

_COMMA = re.compile(r"[-+]?\d+,\d+")


def number_hint(value: Any, expected: str | None) -> str | None:
    """The end of a sentence about a number that YAML reads as text, such as ``is "1e-3", …``;
    None where that is not the mistake.

    Args:
        expected: Dagster's name of the type, such as ``Float``.
    """
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


def name_hint(
    name: str, place: str, known: Sequence[str], renamed: Mapping[str, str]
) -> str | None:
    """A sentence about a name that is not expected; None without a guess at the right one.

    Args:
        place: Where in run config it stands, with points; empty for the top.
        known: The names that are expected there.
        renamed: A sentence for each name that people may know from elsewhere.
    """
    if name in renamed:
        return f"{full_name(name, place)} is not of this job: {renamed[name]}."
    close = difflib.get_close_matches(name, known, n=1)
    return f"{full_name(name, place)} is unknown; did you mean {close[0]}?" if close else None


def full_name(name: str, place: str) -> str:
    """With the place in run config before it."""
    return f"{place}.{name}" if place else name


def _as_yaml_reads(number: Decimal) -> str:
    """With a point and the exponent's sign, without which YAML takes it for text."""
    mantissa, _, exponent = f"{number:e}".partition("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{int(exponent):+d}"
