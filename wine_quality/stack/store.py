"""nanio, the S3 server, with ranges as S3 serves them: the ASGI application for uvicorn.

nanio 0.1.7 refuses a range that goes beyond an object's end, which boto3's downloads ask for; S3
sends what there is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nanio.app import build_app
from nanio.errors import S3Error
from nanio.storage.filesystem import FilesystemStorage

if TYPE_CHECKING:
    from nanio.storage.backend import GetObjectResult
    from starlette.applications import Starlette


class InvalidRangeError(S3Error):
    """The range begins beyond the object's end; clients know this answer from S3."""

    code = "InvalidRange"
    message = "The requested range is not satisfiable"
    http_status = 416


class RangeStorage(FilesystemStorage):
    """Objects on disk, their ranges cut off where they end."""

    async def get_object(
        self,
        bucket: str,
        key: str,
        *,
        range_start: int | None = None,
        range_end: int | None = None,
    ) -> GetObjectResult:
        if range_start is not None:
            size = self.head_object(bucket, key).size
            if range_start >= size:
                raise InvalidRangeError(resource=f"{bucket}/{key}")
            range_end = size - 1 if range_end is None else min(range_end, size - 1)
        return await super().get_object(bucket, key, range_start=range_start, range_end=range_end)


def build() -> Starlette:
    """The application, configured by nanio's own variables ``NANIO_…``."""
    app = build_app()
    app.state.storage = RangeStorage(Path(os.environ["NANIO_DATA_DIR"]))
    return app
