"""One file behind an ``https://`` URL, over real TLS: one run for each of its versions."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from wine_quality.dagster_support.run_tag_names import FILE_HASH_TAG, SOURCE_TAG, SOURCE_VERSION_TAG
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.sources.arrivals import list_arrivals
from wine_quality.sources.source import SourceError, SourceLimits, read_source
from wine_quality_tests.integration.test_arriving_data import HEADER, ROWS, SENSOR, Watched
from wine_quality_tests.support.dagster_stack import ENDED
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.support.web_faults import WINES, WebFaults

QUICK = SourceLimits(timeout_seconds=5, total_seconds=10, attempts=2, retry_seconds=0.01)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(authority, tmp_path_factory) -> str:
    """The bundle for ``REQUESTS_CA_BUNDLE``."""
    bundle = tmp_path_factory.mktemp("tls") / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    return str(bundle)


@pytest.fixture
def web(authority) -> Iterator[WebFaults]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = WebFaults(tls=context)
    yield server
    server.stop()


def test_a_server_that_is_not_trusted_is_named(web):
    url = f"{web.url}/dated"
    for read in (lambda: read_source(url, QUICK), lambda: list_arrivals(url, ".csv", QUICK)):
        with pytest.raises(SourceError) as error:
            read()
        assert str(error.value) == f"{url}: TLS failed. Check its certificate."


def test_a_trusted_server_is_read(web, trusted, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", trusted)
    url = f"{web.url}/dated"
    assert read_source(url, QUICK).content == WINES
    [arrival] = list_arrivals(url, ".csv", QUICK)
    assert (arrival.url, arrival.version) == (url, '"one"')


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_each_version_behind_a_url_is_trained_on_once(web, trusted, mlflow_server, tmp_path: Path):
    url = f"{web.url}/dated"

    def publish(rows: int, etag: str | None, last_modified: str | None = None) -> str:
        """Another file there; its hash."""
        web.body = "\n".join([HEADER, *ROWS[:rows]]).encode() + b"\n"
        web.etag, web.last_modified = etag, last_modified
        return hashlib.sha256(web.body).hexdigest()

    published = [publish(300, "one")]
    server = mlflow_server(MLFLOW_VERSIONS["3"])
    watched = Watched(tmp_path, server, place=url, REQUESTS_CA_BUNDLE=trusted)
    dagster = watched.dagster

    def await_trained() -> None:
        """One run for each that was published, and a tick after them that finds no more."""

        def ended() -> bool:
            found = dagster.runs()
            return len(found) >= len(published) and all(run["status"] in ENDED for run in found)

        await_condition(ended, f"{len(published)} runs", 120)
        last = dagster.ticks(SENSOR)[0]["id"]
        await_condition(lambda: dagster.ticks(SENSOR)[0]["id"] != last, "another tick")
        await_condition(
            lambda: (
                dagster.ticks(SENSOR)[0]["skipReason"] == f"Nothing new among 1 file(s) in {url}."
            ),
            "a tick that finds nothing",
        )
        runs = dagster.runs()[::-1]
        assert [run["status"] for run in runs] == ["SUCCESS"] * len(published)
        # What each run read, through TLS, is what was there.
        assert [run["tags"][FILE_HASH_TAG] for run in runs] == published
        assert {run["tags"][SOURCE_TAG] for run in runs} == {url}

    try:
        await_trained()
        published.append(publish(350, "two"))
        await_trained()
        published.append(publish(400, None, "Mon, 02 Nov 2026 10:00:00 GMT"))
        await_trained()
        published.append(publish(450, None, "Sun, 01 Nov 2026 10:00:00 GMT"))
        await_trained()
        versions = [run["tags"][SOURCE_VERSION_TAG] for run in dagster.runs()[::-1]]
        assert versions == [
            '"one"',
            '"two"',
            "Mon, 02 Nov 2026 10:00:00 GMT",
            "Sun, 01 Nov 2026 10:00:00 GMT",
        ]
    finally:
        dagster.stop()
