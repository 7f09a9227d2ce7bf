"""Sources that ``csv_url`` may name: hosts, addresses, redirects, names that change their address,
folders, links, buckets. The command line trusts its caller."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.input_files import expand, find_files
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.policy.settings import EVERYTHING, trust_the_caller
from wine_quality.sources import allowed_sources
from wine_quality.sources.allowed_sources import ForbiddenSourceError, check_allowed
from wine_quality.sources.arrivals import list_arrivals
from wine_quality.sources.source import SourceError, SourceLimits, read_source
from wine_quality_tests.support.web_faults import WINES, WebFaults

QUICK = SourceLimits(timeout_seconds=5, total_seconds=20, attempts=1, retry_seconds=0.01)
LOOPBACK = {allowed_sources.SCHEMES: "http,https", allowed_sources.NETWORKS: "127.0.0.0/8"}


@pytest.fixture(autouse=True)
def restricted(monkeypatch: pytest.MonkeyPatch, _whoever_tests_may_read_all, home: Path) -> None:
    """As the Launchpad is when nobody has set anything."""
    for name in (*EVERYTHING, "WINE_QUALITY_WATCH_PLACE", "WINE_QUALITY_HISTORY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def web() -> Iterator[WebFaults]:
    server = WebFaults()
    yield server
    server.stop()


def refused(url: str, variable: str) -> str:
    """The refusal of a source, which names the variable."""
    with pytest.raises(ForbiddenSourceError) as error:
        read_source(url, QUICK)
    assert f"${variable}" in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "0x7f.1",
            "2130706433",
        ),
        *(
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.169.254",
            "[fe80::1]",
            "[fd00:ec2::254]",
        ),
        *("192.0.0.192", "192.0.0.8", "192.88.99.1", "[fec0::1]", "[3fff::1]", "[5f00::1]"),
        *("100.64.0.1", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "224.0.0.1", "255.255.255.255"),
    ],
)
def test_addresses_that_are_not_public(web, monkeypatch, host):
    monkeypatch.setenv(allowed_sources.SCHEMES, "http,https")
    port = web.url.rpartition(":")[2]
    message = refused(f"http://{host}:{port}/wines.csv", allowed_sources.NETWORKS)
    assert "is not a public address" in message
    assert not web.requests


def test_plain_http_is_for_those_who_say_so(web, monkeypatch):
    monkeypatch.setenv(allowed_sources.NETWORKS, "127.0.0.0/8")
    refused(f"{web.url}/wines.csv", allowed_sources.SCHEMES)
    monkeypatch.setenv(allowed_sources.SCHEMES, "http")
    assert read_source(f"{web.url}/wines.csv", QUICK).content == WINES
    refused("https://example.org/wines.csv", allowed_sources.SCHEMES)


def test_a_list_of_hosts(web, monkeypatch):
    for name, value in LOOPBACK.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(allowed_sources.HOSTS, "wines.example.org, *.example.com")
    refused(f"{web.url}/wines.csv", allowed_sources.HOSTS)
    check_allowed("https://wines.example.org/a.csv")
    check_allowed("https://Red.Wines.EXAMPLE.com./a.csv")
    for other in ("example.com", "badexample.com", "wines.example.org.evil.net", "[::1]"):
        with pytest.raises(ForbiddenSourceError):
            check_allowed(f"https://{other}/a.csv")
    # Parsers do not agree on whose host this is; neither may be connected to.
    with pytest.raises(SourceError):
        read_source(
            f"http://wines.example.org\\@{web.url.removeprefix('http://')}/wines.csv", QUICK
        )
    assert not web.requests


@pytest.fixture
def names(monkeypatch) -> dict[str, list[list[str]]]:
    """Hosts and their addresses, one answer after another; the last one stays."""
    answers: dict[str, list[list[str]]] = {}
    asked = socket.getaddrinfo

    def resolve(host, *arguments, **options):
        if host not in answers:
            return asked(host, *arguments, **options)
        found = answers[host].pop(0) if len(answers[host]) > 1 else answers[host][0]
        return [entry for one in found for entry in asked(one, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return answers


@pytest.mark.parametrize("path", ["redirect_to", "chain_to"])
def test_each_hop_of_a_redirect_is_checked(web, names, monkeypatch, path):
    """From a host that is allowed to one that is not, at once or after a hop that is allowed."""
    for name, value in LOOPBACK.items():
        monkeypatch.setenv(name, value)
    port = web.url.rpartition(":")[2]
    names["inside.test"], names["public.test"] = [["127.0.0.2"]], [["127.0.0.1"]]
    monkeypatch.setenv(allowed_sources.NETWORKS, "127.0.0.1")
    web.target = f"http://inside.test:{port}/wines.csv"
    message = refused(f"http://public.test:{port}/{path}", allowed_sources.NETWORKS)
    assert "inside.test is at 127.0.0.2" in message
    assert web.requests[path] == 1
    assert not web.requests["wines"]
    monkeypatch.setenv(allowed_sources.NETWORKS, "127.0.0.0/8")
    monkeypatch.setenv(allowed_sources.HOSTS, "public.test")
    refused(f"http://public.test:{port}/{path}", allowed_sources.HOSTS)
    assert not web.requests["wines"]


def test_a_name_that_is_resolved_twice_differently(web, names, monkeypatch):
    """DNS rebinding: whatever the name says later, what was checked is what is connected to."""
    monkeypatch.setenv(allowed_sources.SCHEMES, "http")
    monkeypatch.setenv(allowed_sources.NETWORKS, "127.0.0.1")
    port = web.url.rpartition(":")[2]
    names["rebinding.test"] = [["127.0.0.1"], ["169.254.169.254"]]
    assert read_source(f"http://rebinding.test:{port}/wines.csv", QUICK).content == WINES
    assert names["rebinding.test"] == [["169.254.169.254"]]  # it was asked once
    names["mixed.test"] = [["169.254.169.254", "127.0.0.1"]]
    assert read_source(f"http://mixed.test:{port}/wines.csv", QUICK).content == WINES


def test_a_proxy_is_asked_for_named_hosts_only(web, monkeypatch):
    """The address is resolved by the proxy, so it cannot be checked here."""
    monkeypatch.setenv(allowed_sources.SCHEMES, "http")
    monkeypatch.setenv("http_proxy", web.url)
    assert "through a proxy" in refused("http://wines.test/wines.csv", allowed_sources.HOSTS)
    assert not web.requests
    monkeypatch.setenv(allowed_sources.HOSTS, "wines.test")
    with pytest.raises(SourceError, match="answered 404"):  # by what stands for the proxy
        read_source("http://wines.test/nothing", QUICK)
    assert sum(web.requests.values()) == 1


def test_the_watched_url_is_checked_too(web):
    with pytest.raises(ForbiddenSourceError, match=allowed_sources.SCHEMES):
        list_arrivals(f"{web.url}/dated", ".csv", QUICK)


def test_local_files(tmp_path, monkeypatch):
    inside, outside = tmp_path / "wines", tmp_path / "wines-of-others"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "red wine.csv").write_bytes(WINES)
    (inside / "link.csv").symlink_to(outside / "red wine.csv")
    (inside / "folder").symlink_to(outside)
    file = inside / "red wine.csv"
    refused(str(file), allowed_sources.ROOTS)
    monkeypatch.setenv(allowed_sources.ROOTS, f"/nowhere,{inside}")
    monkeypatch.chdir(inside)
    for url in (str(file), file.as_uri(), "red wine.csv", f"{inside}/../wines/red wine.csv"):
        assert read_source(url).content == WINES
    for url in (
        str(outside / "red wine.csv"),
        (outside / "red wine.csv").as_uri(),
        f"{inside}/../wines-of-others/red wine.csv",
        f"file://{inside}/%2e%2e/wines-of-others/red%20wine.csv",
        f"file:{outside}/red%20wine.csv",
        str(inside / "link.csv"),
        str(inside / "folder" / "red wine.csv"),
        "/etc/passwd",
        "/proc/self/environ",
    ):
        refused(url, allowed_sources.ROOTS)
    # Nobody learns what is there.
    assert refused("/etc/no-such-file", allowed_sources.ROOTS) == refused(
        "/etc/passwd", allowed_sources.ROOTS
    ).replace("passwd", "no-such-file")


def test_a_link_that_comes_between_check_and_opening(tmp_path, monkeypatch):
    inside = tmp_path / "wines"
    inside.mkdir()
    (tmp_path / "secret.csv").write_bytes(WINES)
    file = inside / "red.csv"
    file.write_bytes(WINES)
    monkeypatch.setenv(allowed_sources.ROOTS, str(inside))
    is_file = Path.is_file

    def swapped(path: Path) -> bool:
        file.unlink()
        file.symlink_to(tmp_path / "secret.csv")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", swapped)
    refused(str(file), allowed_sources.ROOTS)


def test_what_needs_no_setting(tmp_path, monkeypatch, home):
    """The packaged wines, the watched folder, and what was remembered."""
    assert read_source(str(PACKAGED_RED_WINE)).content == WINES
    watched = tmp_path / "arriving"
    watched.mkdir()
    (watched / "a.csv").write_bytes(WINES)
    refused(str(watched / "a.csv"), allowed_sources.ROOTS)
    monkeypatch.setenv("WINE_QUALITY_WATCH_PLACE", watched.as_uri())
    assert read_source(str(watched / "a.csv")).content == WINES
    remembered = home / "history" / "a.csv-1" / "1.parquet"
    remembered.parent.mkdir(parents=True)
    remembered.write_bytes(b"")
    assert expand([str(remembered)]) == [str(remembered)]


def test_patterns_and_folders_of_streaming_engines(tmp_path, monkeypatch):
    inside, outside = tmp_path / "wines", tmp_path / "others"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.parquet").write_bytes(b"wines")
    monkeypatch.setenv(allowed_sources.ROOTS, str(inside))
    assert expand([f"{inside}/"]) == expand([f"{inside}/*.parquet"]) == [str(inside / "a.parquet")]
    for place in (
        f"{outside}/",
        f"{outside}/*.parquet",
        f"{tmp_path}/*/a.parquet",
        f"{inside}/*/../../others/a.parquet",
        f"{inside}/*/../../others/*",
    ):
        with pytest.raises(UnreadableFileError, match=allowed_sources.ROOTS):
            expand([place])


@pytest.mark.parametrize("place", ["/", "/*.parquet"], ids=["folder", "pattern"])
def test_what_is_forbidden_among_streamed_files_is_left_out(tmp_path, monkeypatch, place):
    """One link beside good files kept all of them from being read."""
    inside, outside = tmp_path / "wines", tmp_path / "others"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "a.parquet").write_bytes(b"wines")
    monkeypatch.setenv(allowed_sources.ROOTS, str(inside))
    (inside / "b.parquet").symlink_to(outside / "a.parquet")
    (inside / "c\n\x1b[31m.parquet").symlink_to("/etc/passwd")
    (inside / "d.parquet").symlink_to(inside / "nothing")
    os.mkfifo(inside / "e.parquet")
    Path(os.fsdecode(bytes(inside / "f") + b"\xff.parquet")).write_bytes(b"wines")
    found = find_files([f"{inside}{place}"])
    assert found.paths == [str(inside / "a.parquet")]
    reasons = {one.path.rpartition("/")[2]: one.reason for one in found.left_out}
    assert sorted(reasons) == [
        "b.parquet",
        r"c\n\x1b[31m.parquet",
        "d.parquet",
        "e.parquet",
        r"f\xff.parquet",
    ]
    assert allowed_sources.ROOTS in reasons["b.parquet"] and "UTF-8" in reasons[r"f\xff.parquet"]
    assert all(text.isprintable() for one in found.left_out for text in one)
    with pytest.raises(UnreadableFileError, match=allowed_sources.ROOTS):
        expand([str(inside / "b.parquet")])
    (inside / "a.parquet").unlink()
    with pytest.raises(UnreadableFileError, match="names no file that can be read"):
        expand([f"{inside}{place}"])


def test_buckets(s3, monkeypatch):
    url = "s3://wines/red/wines.csv"
    assert read_source(url, QUICK).content == WINES
    for names in ("wines", "other,s3://wines/red/", "wines/red"):
        monkeypatch.setenv(allowed_sources.BUCKETS, names)
        assert read_source(url, QUICK).content == WINES
        assert expand(["s3://wines/red/*.csv"]) == [url]
    for names in ("other", "wines/re", "wine", "wines/red/wines"):
        monkeypatch.setenv(allowed_sources.BUCKETS, names)
        refused(url, allowed_sources.BUCKETS)
        for place in (url, "s3://wines/r*/wines.csv", "s3://*/red/wines.csv"):
            with pytest.raises(UnreadableFileError, match=allowed_sources.BUCKETS):
                expand([place])
    monkeypatch.setenv("WINE_QUALITY_WATCH_PLACE", "s3://wines/red/")
    assert read_source(url, QUICK).content == WINES


def test_settings_that_make_no_sense_are_named(monkeypatch):
    monkeypatch.setenv(allowed_sources.SCHEMES, "http")
    monkeypatch.setenv(allowed_sources.NETWORKS, "10.0.0.0/99")
    refused("http://127.0.0.1/", allowed_sources.NETWORKS)


def test_who_calls_is_trusted_unless_the_environment_says_otherwise(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_bytes(WINES)
    monkeypatch.setenv(allowed_sources.HOSTS, "example.org")
    with pytest.MonkeyPatch.context() as patch:
        for name in EVERYTHING:  # for their values of before to come back
            patch.setenv(name, os.environ.get(name, ""))
            if name != allowed_sources.HOSTS:
                patch.delenv(name)
        trust_the_caller()
        assert read_source(str(tmp_path / "a.csv")).content == WINES
        assert os.environ[allowed_sources.HOSTS] == "example.org"
