"""``make bench``: a whole tick of ``new_wine_data_sensor`` against one listing of its place.

10,000 objects in S3, and as many files in a folder. Tick and plain listing take turns, and the
ratio is that of their medians. The S3 server is moto in a process of its own behind a cache of its
answers, so that next to nothing of what is measured is the server: any real one is slower, and
brings the ratio nearer to 1.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from wine_quality.environments.process_groups import end_with_parent

NUMBER = 10_000
TARGET = 1.2
BUCKET, PREFIX = "many", "new/"
S3_PLACE = f"s3://{BUCKET}/{PREFIX}"


def fill(bucket: str, prefix: str, number: int) -> None:
    """Make the bucket with so many small objects, straight in the moto of this process."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    backend.create_bucket(bucket, "us-east-1")
    for n in range(number):
        backend.put_object(bucket, f"{prefix}{n:05}.csv", b"%d" % n)


def serve_listing(tell: Connection) -> None:
    """The S3 server; each answer is asked of moto once."""
    from moto.server import ThreadedMotoServer

    end_with_parent()
    logging.disable(logging.CRITICAL)
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    fill(BUCKET, PREFIX, NUMBER)
    host, port = moto.get_host_and_port()
    known: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if self.path not in known:
                headers = {"Authorization": self.headers["Authorization"]}
                request = urllib.request.Request(f"http://{host}:{port}{self.path}", None, headers)
                with urllib.request.urlopen(request, timeout=60) as answer:
                    known[self.path] = answer.read()
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(known[self.path])))
            self.end_headers()
            self.wfile.write(known[self.path])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tell.send(server.server_address[1])
    server.serve_forever()


def plain_s3_listing() -> list[tuple[str, Any, str]]:
    """As boto3's documentation has it, with the time-outs and tries of the sensor."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=10, read_timeout=10, retries={"total_max_attempts": 1})
    pages = boto3.client("s3", config=config).get_paginator("list_objects_v2")
    return [
        (entry["Key"], entry["LastModified"], entry["ETag"])
        for page in pages.paginate(Bucket=BUCKET, Prefix=PREFIX)
        for entry in page["Contents"]
    ]


def plain_folder_listing(folder: str) -> list[tuple[str, int, int]]:
    found = []
    for entry in os.scandir(folder):
        if entry.is_file():
            state = entry.stat()
            found.append((entry.path, state.st_size, state.st_mtime_ns))
    return found


def ticks(place: str) -> dict[str, Callable[[], Any]]:
    """A tick of a sensor that has seen nothing, half or all of the place."""
    from dagster import DagsterInstance, build_sensor_context

    from wine_quality.definitions import defs
    from wine_quality.defs.data.new_file_sensor import WatchedSource, watching_sensor
    from wine_quality.sources.arrivals import list_arrivals
    from wine_quality.sources.seen import Seen
    from wine_quality.sources.transfer import SourceLimits

    instance = DagsterInstance.local_temp()
    repository = defs.get_repository_def()
    sensor = watching_sensor(WatchedSource(place=place, settle_seconds=0))
    new = Seen().unseen(list_arrivals(place, ".csv", SourceLimits()))
    assert len(new) == NUMBER

    def tick(number_seen: int) -> Callable[[], Any]:
        cursor = Seen().handled(new[:number_seen], new[number_seen:]).to_cursor()
        requests = 0 if number_seen == NUMBER else 5

        def evaluate() -> None:
            context = build_sensor_context(
                instance=instance, cursor=cursor, repository_def=repository
            )
            found = sensor.evaluate_tick(context)
            assert len(found.run_requests or []) == requests

        return evaluate

    return {
        "nothing new": tick(NUMBER),
        "half of it new": tick(NUMBER // 2),
        "everything new": tick(0),
    }


def compare(name: str, plain: Callable[[], Any], others: dict[str, Callable], rounds: int) -> None:
    """Print the medians of a plain listing and of what is held against it."""
    calls = {"plain listing": plain, **others}
    times: dict[str, list[float]] = {what: [] for what in calls}
    for number in range(rounds + 1):
        for what, call in calls.items():
            started = time.perf_counter()
            call()
            if number > 0:
                times[what].append(time.perf_counter() - started)
    medians = {what: statistics.median(taken) * 1000 for what, taken in times.items()}
    listing = medians.pop("plain listing")
    print(f"{NUMBER:,} {name}: one plain listing {listing:.0f} ms")
    for what, taken in medians.items():
        verdict = "met" if taken / listing <= TARGET else "MISSED"
        print(
            f"  tick, {what:<15} {taken:5.0f} ms  ratio {taken / listing:4.2f}  "
            f"(target {TARGET:g}: {verdict})",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds (7; folder: 5 times)")
    options = parser.parse_args()
    logging.disable(logging.INFO)
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve_listing, args=(theirs,), daemon=True
    )
    server.start()
    if not ours.poll(120):
        raise SystemExit("the S3 server does not start")
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{ours.recv()}",
        AWS_ACCESS_KEY_ID="key",
        AWS_SECRET_ACCESS_KEY="s3cret",
        AWS_DEFAULT_REGION="us-east-1",
    )
    print(f"Medians, tick and listing in turn, {os.cpu_count()} cores:")
    compare("objects in S3", plain_s3_listing, ticks(S3_PLACE), options.rounds)
    with tempfile.TemporaryDirectory() as folder:
        for n in range(NUMBER):
            Path(folder, f"{n:05}.csv").write_text("wines")
        compare(
            "files in a folder",
            lambda: plain_folder_listing(folder),
            ticks(folder),
            5 * options.rounds,
        )
    server.terminate()


if __name__ == "__main__":
    main()
