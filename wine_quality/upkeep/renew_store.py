"""The objects of the local stack, in another S3 store."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path
from typing import Any

from wine_quality.stack.objects import bucket_task, store_kind, store_service
from wine_quality.stack.platform import stack_folder
from wine_quality.stack.renewed import fresh_place, left_overs, put_in_place, settle
from wine_quality.stack.settings import StackError, choose_port
from wine_quality.upkeep.backup import HISTORY, listed, object_path
from wine_quality.upkeep.data_services import DataServices, started
from wine_quality.upkeep.renewal import Say, backed_up, ready_to_renew, remove, running, swap_back
from wine_quality.upkeep.restore import lines

_LOCAL = "127.0.0.1"
_CHUNK = 1 << 20


def renew_store(folder: Path, given: str, say: Say) -> dict[str, Any]:
    """Write the objects of a backup into another S3 store; returns the manifest.

    Raises:
        StackError: it is the one that is there, or it has not the same objects.
    """
    with ready_to_renew(folder) as settings:
        place, before = stack_folder() / "s3", store_kind()
        if not given or store_kind(given) == before:
            raise StackError(
                f"the store is {before}: WITH=nanio, minio or seaweedfs names another."
            )
        settle(place)
        if not place.exists():
            raise StackError(f"there is no stack in {stack_folder()}.")
        remove(left_overs(place))
        fresh, port, own = fresh_place(place), choose_port(_LOCAL), dict(settings)
        try:
            fresh.mkdir()
            store = store_service(fresh, own, port, choose_port(_LOCAL), given)
            own["AWS_ENDPOINT_URL"] = f"http://{_LOCAL}:{port}"
            services = [store, bucket_task(fresh, own, ("s3",), given)]
            say(f"{before} to {given}: a backup first, into {folder}")
            with started(say, settings) as old:
                manifest = backed_up(old, folder, say)
            with running(services, say):
                number = _fill_buckets(DataServices(own, Path(), "", 0, port, fresh), folder)
            say(f"the same in both: {number} objects")
            kept = put_in_place(place, before)
        finally:
            remove(left_overs(place))
    say(f"{before}'s objects are kept in {kept}")
    say(f"to go back, without what came since, and with WINE_QUALITY_STORE={before}: ")
    say(f"  {swap_back(place, kept)}")
    say(f"from now on set WINE_QUALITY_STORE={given}")
    return manifest


def _fill_buckets(services: DataServices, folder: Path) -> int:
    """Write all objects of a backup, then read each again; returns their number."""
    buckets, written = services.buckets(), set()
    for line in lines(folder):
        if line["place"] == HISTORY:
            continue
        client, bucket = buckets[line["place"]]
        with object_path(folder, line["sha256"]).open("rb") as content:
            client.put_object(Bucket=bucket, Key=line["key"], Body=content)
        written.add((line["place"], line["key"], line["sha256"]))
    for place, key, sha256 in written:
        client, bucket = buckets[place]
        with closing(client.get_object(Bucket=bucket, Key=key)["Body"]) as content:
            digest = hashlib.sha256()
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != sha256:
            raise StackError(f"{key!r} in {bucket} is not what was written.")
    found = {
        (place, key) for place, (client, name) in buckets.items() for key in listed(client, name)
    }
    if found != {(place, key) for place, key, _ in written}:
        raise StackError(f"{len(written)} objects were written, and the store lists {len(found)}.")
    return len(written)
