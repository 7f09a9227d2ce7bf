"""A hash of rows that is the same in any order, file and layout, and adds up.

Of each row a hash of 64 bits is made from its doubles, mixed after each, and from that a
second one; of all rows the sums are kept, modulo 2**64. So sums of pieces, files and engines add up
to those of the whole, rows that are repeated count as often as they are there, and to sum them
costs a few percent of the pass. It distinguishes data that differ by accident; it does not protect
against someone who seeks rows with an equal sum.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_MODULUS = 1 << 64
# Odd; the first is that of the golden ratio, the others are MurmurHash3's (Appleby).
_MULTIPLIER = 0x9E3779B97F4A7C15
_FIRST, _SECOND = 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53


@dataclass(frozen=True)
class RowsHash:
    """The number of some rows, and the sums of both their hashes, modulo 2**64."""

    rows: int = 0
    first: int = 0
    second: int = 0

    def __add__(self, other: RowsHash) -> RowsHash:
        """The hash of the rows of both."""
        return RowsHash(
            self.rows + other.rows,
            (self.first + other.first) % _MODULUS,
            (self.second + other.second) % _MODULUS,
        )

    @classmethod
    def total(cls, parts: Iterable[RowsHash]) -> RowsHash:
        total = cls()
        for part in parts:
            total += part
        return total

    @property
    def sha256(self) -> str:
        """SHA-256 of the three numbers, 64 hexadecimal digits."""
        text = f"wine rows {self.rows} {self.first:016x} {self.second:016x}"
        return hashlib.sha256(text.encode()).hexdigest()

    def to_plain(self) -> list[str]:
        """As texts for JSON, whose numbers some readers take for doubles."""
        return [str(self.rows), f"{self.first:016x}", f"{self.second:016x}"]

    @classmethod
    def from_plain(cls, plain: Sequence[str]) -> RowsHash:
        """The hash that ``to_plain`` wrote.

        Raises:
            ValueError: it is not a hash of rows.
        """
        try:
            rows, first, second = plain
            return cls(int(rows), int(first, 16), int(second, 16))
        except TypeError as error:
            raise ValueError(f"not the hash of any rows ({error})") from error


class RowHasher:
    """Hashes what one thread reads."""

    def __init__(self, most_rows: int) -> None:
        """``most_rows`` that are added at once."""
        import numpy as np

        self._doubles = np.empty(most_rows)
        self._hashes = np.empty(most_rows, dtype=np.uint64)
        self._shifted = np.empty(most_rows, dtype=np.uint64)
        self.total = RowsHash()

    def add(self, columns: Sequence[np.ndarray]) -> None:
        """Rows as columns of doubles, each of shape (n,), none NaN; their order counts."""
        import numpy as np

        n = len(columns[0])
        hashes, shifted = self._hashes[:n], self._shifted[:n]
        _hash(columns, self._doubles[:n], hashes, shifted)
        _mix(hashes, shifted, _FIRST)
        first = int(np.add.reduce(hashes))
        _mix(hashes, shifted, _SECOND)
        self.total += RowsHash(n, first, int(np.add.reduce(hashes)))


def hash_rows(columns: Sequence[np.ndarray]) -> np.ndarray:
    """A hash of each row, uint64 of shape (n,), of columns as ``RowHasher.add`` takes them."""
    import numpy as np

    n = len(columns[0])
    hashes = np.empty(n, dtype=np.uint64)
    _hash(columns, np.empty(n), hashes, np.empty(n, dtype=np.uint64))
    return hashes


def _hash(
    columns: Sequence[np.ndarray], doubles: np.ndarray, hashes: np.ndarray, shifted: np.ndarray
) -> None:
    """Into ``hashes``; the others are to work in, all of shape (n,)."""
    import numpy as np

    bits = doubles.view(np.uint64)
    hashes[:] = 0
    for column in columns:
        np.add(column, 0.0, out=doubles)  # -0.0 is 0.0
        np.bitwise_xor(hashes, bits, out=hashes)
        _mix(hashes, shifted, _MULTIPLIER)


def _mix(hashes: np.ndarray, shifted: np.ndarray, multiplier: int) -> None:
    """Every bit of the result depends on each higher bit, and by the product on each lower one."""
    import numpy as np

    np.multiply(hashes, np.uint64(multiplier), out=hashes)
    np.right_shift(hashes, np.uint64(32), out=shifted)
    np.bitwise_xor(hashes, shifted, out=hashes)
