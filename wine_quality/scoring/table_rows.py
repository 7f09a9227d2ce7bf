"""The rows of a table of PostgreSQL, read once through a cursor of the server's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wine_quality.engines.batches import UnreadableFileError
from wine_quality.escaping import escaped
from wine_quality.scoring.inputs import Inputs
from wine_quality.scoring.row_batches import InputFile, RowBatch
from wine_quality.sources.table import TableSource

if TYPE_CHECKING:
    import psycopg2.sql

_ROWS_PER_FETCH = 1 << 14
"""Python's objects of a row are many times larger than its numbers."""
# A server that is gone is noticed after a minute, not after two hours.
_CONNECTION = {
    "application_name": "wine_quality predictions",
    "client_encoding": "utf8",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "tcp_user_timeout": "60000",
}
# A table, a view or a materialized one, by its quoted name.
_COLUMNS = """
SELECT attname, typcategory, format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
JOIN pg_catalog.pg_type ON pg_type.oid = atttypid
WHERE attrelid = pg_catalog.to_regclass(%s) AND attnum > 0 AND NOT attisdropped"""


class TableInputs(Inputs):
    """One table, in the place of files; to be closed.

    All is read in one transaction that may not write, so it is the table of one moment.
    """

    def __init__(self, table: TableSource) -> None:
        """Connect, and look up the columns.

        Raises:
            UnreadableFileError: the database does not answer, refuses, or has no such table.
        """
        import psycopg2
        from psycopg2.sql import Identifier

        self.left_out, self._shown = [], table.shown
        with self._errors():
            self._raw = psycopg2.connect(table.url, **_CONNECTION)
        try:
            with self._errors():
                self._raw.set_session(isolation_level="REPEATABLE READ", readonly=True)
                self._table = Identifier(*table.parts)
                columns = self._columns()
        except BaseException:
            self.close()
            raise
        if not columns:
            self.close()
            raise UnreadableFileError(
                f"{table.shown} names no table that this login sees. Check the name: capitals "
                "count, and without a schema the login's search_path is looked through."
            )
        self.files = [InputFile(table.shown, table.shown, 0, "", columns)]

    def _columns(self) -> dict[str, str]:
        with self._raw.cursor() as cursor:
            cursor.execute(_COLUMNS, [self._table.as_string(self._raw)])
            found = cursor.fetchall()
        return {name: kind if group == "N" else f"string ({kind})" for name, group, kind in found}

    def batches(
        self, file: InputFile, numbers: Sequence[str], keys: Sequence[str] = ()
    ) -> Iterator[RowBatch]:
        """The rows as the database gives them; keys as text, so that all batches have one type.

        Raises:
            UnreadableFileError: the database does not give them to the end.
        """
        import numpy as np
        import pyarrow as pa
        from psycopg2.sql import SQL, Identifier

        parts: list[psycopg2.sql.Composable] = [Identifier(name) for name in numbers]
        parts += [SQL("{}::text").format(Identifier(name)) for name in keys]
        query = SQL("SELECT {} FROM {}").format(SQL(", ").join(parts), self._table)
        first = 0
        with self._errors(), self._raw.cursor(name="rows") as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(_ROWS_PER_FETCH):
                columns = list(zip(*rows, strict=True))
                yield RowBatch(
                    first,
                    [np.array(column, dtype=float) for column in columns[: len(numbers)]],
                    [pa.array(column, pa.string()) for column in columns[len(numbers) :]],
                    {},
                )
                first += len(rows)

    def check_unchanged(self) -> None:
        """Nothing to do: what others wrote meanwhile was not seen."""

    def close(self) -> None:
        self._raw.close()

    @contextmanager
    def _errors(self) -> Iterator[Any]:
        import psycopg2

        try:
            yield
        except psycopg2.Error as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            # Without its cause, whose traceback would show the address with the login.
            raise UnreadableFileError(
                f"{self._shown} cannot be read: {escaped(lines[0])[:300]}."
            ) from None
