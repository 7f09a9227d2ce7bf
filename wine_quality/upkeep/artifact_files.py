"""The files that MLflow servers keep for their runs: in a bucket, or in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from wine_quality.escaping import escaped

_BATCH_SIZE = 1000
"""So many S3 deletes in one request."""


class ArtifactFile(NamedTuple):
    """``modified`` in seconds since 1970."""

    key: str
    bytes: int
    modified: float


class ArtifactFiles(Protocol):
    def listed(self) -> Iterator[ArtifactFile]: ...

    def remove(self, keys: Iterable[str]) -> None: ...


class BucketFiles:
    """The files in a bucket.

    Args:
        client: boto3's, of S3.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def listed(self) -> Iterator[ArtifactFile]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket):
            for entry in page.get("Contents", []):
                yield ArtifactFile(entry["Key"], entry["Size"], entry["LastModified"].timestamp())

    def remove(self, keys: Iterable[str]) -> None:
        """Remove files; those that are gone already are skipped.

        Raises:
            RuntimeError: the store refused one.
        """
        left = iter(keys)
        while batch := [{"Key": key} for key in islice(left, _BATCH_SIZE)]:
            asked = {"Objects": batch, "Quiet": True}
            answer = self._client.delete_objects(Bucket=self._bucket, Delete=asked)
            for error in answer.get("Errors", []):
                raise RuntimeError(f"S3 did not delete {error['Key']}: {error.get('Message')}")


class FolderFiles:
    """The files below a folder; folders that are empty after a removal are removed too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def listed(self) -> Iterator[ArtifactFile]:
        for path in self._folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                status = path.stat()
                key = path.relative_to(self._folder).as_posix()
                yield ArtifactFile(key, status.st_size, status.st_mtime)

    def remove(self, keys: Iterable[str]) -> None:
        for key in keys:
            path = self._folder / key
            if not path.parent.resolve().is_relative_to(self._folder.resolve()):
                raise RuntimeError(f"{escaped(path)} leads out of {self._folder}: nothing goes.")
            path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == self._folder or any(parent.iterdir()):
                    break
                parent.rmdir()
