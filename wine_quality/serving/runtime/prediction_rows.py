"""Predictions as rows of PostgreSQL: pieces of requests, and the statements that insert them."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import NamedTuple

import numpy as np

_JSON_ROWS = 100
"""Rows per call of ``json.dumps``, which blocks requests for some microseconds a row."""
_INSERT = (
    "INSERT INTO wine_quality.predictions (time, model_name, model_version, run_id, input_hash,"
    " prediction, inputs, batch, batch_row) SELECT t.time, {model}, {version}, {run_id}, t.hash,"
    " t.prediction, {inputs}, {batch}, {first} + t.number - 1 FROM ROWS FROM"
    " (unnest({times}::timestamptz[], {hashes}::text[], {predictions}::float8[]){more})"
    " WITH ORDINALITY AS t({names}) ON CONFLICT DO NOTHING"
)


class ServedVersion(NamedTuple):
    name: str
    version: int
    run_id: str
    columns: tuple[str, ...]


class Piece(NamedTuple):
    """Rows of one request; float64, little-endian, row by row."""

    model: ServedVersion
    at: datetime
    rows: int
    inputs: bytes
    predictions: bytes


class Batch:
    """Rows that are written together, under an id by which they are not written twice."""

    def __init__(self, pieces: Sequence[Piece], with_inputs: bool) -> None:
        self.id = str(uuid.uuid4())
        self.rows = sum(piece.rows for piece in pieces)
        groups: dict[ServedVersion, list[Piece]] = {}
        for piece in pieces:
            groups.setdefault(piece.model, []).append(piece)
        self._groups = [_Group(model, part, with_inputs) for model, part in groups.items()]

    def statements(self, literal: Callable[[str], str]) -> str:
        """One INSERT for each model version.

        Args:
            literal: Quotes a text for SQL.
        """
        first, statements = 0, []
        for group in self._groups:
            statements.append(group.statement(literal, self.id, first))
            first += group.rows
        return "; ".join(statements)


class _Group:
    """The rows of one model version, as PostgreSQL reads arrays."""

    def __init__(self, model: ServedVersion, pieces: Sequence[Piece], with_inputs: bool) -> None:
        self.rows = sum(piece.rows for piece in pieces)
        self._model = model
        times: list[str] = []
        hashes: list[str] = []
        for piece in pieces:
            times += [piece.at.astimezone(timezone.utc).isoformat()] * piece.rows
            width = len(piece.inputs) // piece.rows
            hashes += [
                hashlib.sha256(piece.inputs[start : start + width]).hexdigest()
                for start in range(0, len(piece.inputs), width)
            ]
        self._times, self._hashes = ",".join(times), ",".join(hashes)
        predictions = np.frombuffer(b"".join(piece.predictions for piece in pieces), "<f8")
        self._predictions = ",".join(map(repr, predictions.tolist()))
        self._inputs = self._json(pieces) if with_inputs else None

    def _json(self, pieces: Sequence[Piece]) -> str:
        """A JSON array with an object for each row; values that are not finite become null."""
        matrix = np.frombuffer(b"".join(piece.inputs for piece in pieces), "<f8")
        rows = matrix.reshape(self.rows, -1)
        parts = []
        for start in range(0, self.rows, _JSON_ROWS):
            part = rows[start : start + _JSON_ROWS]
            values = part.tolist() if np.isfinite(part).all() else _finite(part)
            objects = [dict(zip(self._model.columns, row, strict=True)) for row in values]
            parts.append(json.dumps(objects)[1:-1])
        return f"[{','.join(parts)}]"

    def statement(self, literal: Callable[[str], str], batch: str, first: int) -> str:
        stored = self._inputs is not None
        # Between dollars nothing is escaped, which takes long for so much text.
        quote = f"$batch{batch.replace('-', '')}$"
        more = f", jsonb_array_elements({quote}{self._inputs}{quote}::jsonb)" if stored else ""
        return _INSERT.format(
            model=literal(self._model.name),
            version=self._model.version,
            run_id=literal(self._model.run_id),
            inputs="t.inputs" if stored else "NULL::jsonb",
            batch=f"'{batch}'::uuid",
            first=first,
            times=f"'{{{self._times}}}'",
            hashes=f"'{{{self._hashes}}}'",
            predictions=f"'{{{self._predictions}}}'",
            more=more,
            names="time, hash, prediction, inputs, number"
            if stored
            else "time, hash, prediction, number",
        )


def _finite(rows: np.ndarray) -> list[list[float | None]]:
    return [[value if np.isfinite(value) else None for value in row] for row in rows.tolist()]
