"""Where the wines come from: real web and S3 servers, with the faults of real ones."""

from __future__ import annotations

import gzip
import hashlib
import socket
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from wine_quality.datasets.dialect import DataFormatError
from wine_quality.datasets.parse import parse_wine_csv
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.sources.source import SourceError, SourceLimits, read_source
from wine_quality_tests.support.web_faults import WINES, WebFaults

QUICK = SourceLimits(
    max_bytes=1 << 20, timeout_seconds=0.5, total_seconds=3, attempts=3, retry_seconds=0.01
)
# Where time is not what is tested: the machine may be busy.
PATIENT = replace(QUICK, timeout_seconds=10, total_seconds=30)
SLOW = ("hang", "drip", "drip_header")


@pytest.fixture
def web() -> Iterator[WebFaults]:
    server = WebFaults()
    yield server
    server.stop()


@pytest.mark.parametrize("path", ["wines.csv", "gzip", "redirect", "flaky", "wines.csv?key=s3cret"])
def test_the_wines_arrive(web, path):
    source = read_source(f"{web.url}/{path}", PATIENT)
    assert source.content == WINES
    assert source.sha256 == hashlib.sha256(WINES).hexdigest()
    assert "s3cret" not in source.url


@pytest.mark.parametrize(
    ("path", "words", "tries"),
    [
        ("nothing", "answered 404", 1),
        ("busy", r"answered 503 .*after 3 attempt\(s\)", 3),
        ("hang", r"no answer within 0.5 s, after 3 attempt\(s\)", 3),
        ("short", "connection failed", 3),
        ("endless", "larger than the limit of 1 MB", 1),
        ("bomb", "larger than the limit of 1 MB", 1),
        ("columns", "larger than the limit of 1 MB", 1),
        ("drip", "took longer than 3 s", 1),
        ("drip_header", "took longer than 3 s", 1),
        ("loop", "TooManyRedirects", 31),
        ("elsewhere", "InvalidSchema", 1),
    ],
)
def test_a_faulty_server_is_named(web, path, words, tries):
    started = time.monotonic()
    with pytest.raises(SourceError, match=words) as error:
        read_source(f"{web.url}/{path}", QUICK if path in SLOW else PATIENT)
    # Far from the limit: it only has to be sure that some bound held.
    assert time.monotonic() - started < 30
    assert f"{web.url}/{path}" in str(error.value)
    assert web.requests[path] == tries


def test_a_gzipped_file_is_unpacked_whoever_packed_it(web, s3, tmp_path):
    """As a transfer encoding, as a file over HTTP and S3, and by path."""
    import boto3

    boto3.client("s3").put_object(Bucket="wines", Key="red.csv.gz", Body=gzip.compress(WINES))
    (tmp_path / "red.csv.gz").write_bytes(gzip.compress(WINES))
    plain = parse_wine_csv(WINES, "red")
    for url in (f"{web.url}/gzip", f"{web.url}/packed", "s3://wines/red.csv.gz"):
        source = read_source(url, PATIENT)
        assert parse_wine_csv(source.content, source.url).equals(plain)
    source = read_source(str(tmp_path / "red.csv.gz"))
    assert parse_wine_csv(source.content, source.url).equals(plain)
    with pytest.raises(DataFormatError, match="unpacks to more than the limit of 0.00976562 MB"):
        parse_wine_csv(source.content, source.url, max_bytes=10240)


@pytest.mark.parametrize(("path", "words"), [("html", "'Please sign in'"), ("empty", "is empty")])
def test_an_answer_that_is_no_csv_is_named(web, path, words):
    source = read_source(f"{web.url}/{path}", QUICK)
    with pytest.raises(DataFormatError, match=words):
        parse_wine_csv(source.content, source.url)


def test_a_million_columns_are_refused_before_pandas_sees_them(web):
    source = read_source(f"{web.url}/columns", SourceLimits())
    with pytest.raises(DataFormatError, match="has more than 1000 columns"):
        parse_wine_csv(source.content, source.url)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_that_is_not_there(scheme):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        url = f"{scheme}://user:s3cret@127.0.0.1:{taken.getsockname()[1]}/wines.csv"
        with pytest.raises(SourceError, match=r"connection failed .*after 3 attempt") as error:
            read_source(url, QUICK)
    assert "s3cret" not in str(error.value)


def test_an_unknown_host():
    with pytest.raises(SourceError, match="no-such-host.invalid"):
        read_source("https://no-such-host.invalid/wines.csv", QUICK)


def test_retries_are_reported(web):
    lines: list[str] = []
    read_source(f"{web.url}/flaky", QUICK, report=lines.append)
    assert len(lines) == 2
    assert "answered 503" in lines[0]
    assert "trying again (2 of 3)" in lines[1]


def test_local_files(tmp_path, monkeypatch):
    file = tmp_path / "red wine.csv"
    file.write_bytes(WINES)
    monkeypatch.chdir(tmp_path)
    for url in (str(file), "red wine.csv", file.as_uri(), f"file://localhost{file}"):
        assert read_source(url).content == WINES
    with pytest.raises(SourceError, match="three slashes"):
        read_source("file://tmp/wines.csv")
    with pytest.raises(SourceError, match="not a regular file"):
        read_source("/dev/zero", QUICK)
    with pytest.raises(SourceError, match="larger than the limit"):
        read_source(str(PACKAGED_RED_WINE), SourceLimits(max_bytes=100))


def test_s3(s3):
    source = read_source("s3://wines/red/wines.csv", PATIENT)
    assert (source.url, source.content) == ("s3://wines/red/wines.csv", WINES)
    assert read_source("s3://wines/empty.csv", PATIENT).content == b""


def test_s3_is_read_anew_each_time(s3):
    import boto3

    for body in (b"one", b"two, longer"):
        boto3.client("s3").put_object(Bucket="wines", Key="changing.csv", Body=body)
        assert read_source("s3://wines/changing.csv", PATIENT).content == body


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://wines/none.csv", "no such bucket or object"),
        ("s3://nowhere/wines.csv", "no such bucket or object"),
        ("s3://wines/large.csv", "larger than the limit of 1 MB"),
        ("s3://wines", "names a bucket"),
    ],
)
def test_s3_faults_are_named(s3, url, words):
    with pytest.raises(SourceError, match=words):
        read_source(url, PATIENT)


def test_an_s3_endpoint_that_is_not_there(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    limits = replace(QUICK, total_seconds=60)
    lines: list[str] = []
    with pytest.raises(SourceError, match="http://127.0.0.1:9.*after 3 attempt"):
        read_source("s3://wines/red/wines.csv", limits, lines.append)
    assert len(lines) == 2


def test_s3_without_credentials_says_so(s3, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    # Time enough for the libraries to be imported, which may be the first to need them.
    patient = replace(QUICK, total_seconds=30.0)
    with pytest.raises(SourceError, match="AWS_ACCESS_KEY_ID"):
        read_source("s3://wines/red/wines.csv", patient)
