"""Amounts as Kubernetes writes them, such as 250m and 512Mi."""

from __future__ import annotations

import re
from decimal import Decimal

_AMOUNT = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?", re.ASCII)
_FACTORS = {
    None: Decimal(1),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
}


def cpu_cores(text: str) -> Decimal:
    """Cores: 250m is a quarter of one.

    Raises:
        ValueError: it is not an amount, or not above 0.
    """
    return _parsed(text, (None, "m"), "cores, such as 250m or 2")


def memory_bytes(text: str) -> Decimal:
    """Bytes: 512Mi is 512 times 2^20.

    Raises:
        ValueError: it is not an amount, or not above 0.
    """
    units = tuple(unit for unit in _FACTORS if unit != "m")
    return _parsed(text, units, "memory, such as 512Mi or 1Gi")


def _parsed(text: str, units: tuple[str | None, ...], expected: str) -> Decimal:
    match = _AMOUNT.fullmatch(str(text))
    if match is None or match[2] not in units or not Decimal(match[1]):
        raise ValueError(f"{text!r} is not an amount of {expected}")
    return Decimal(match[1]) * _FACTORS[match[2]]
