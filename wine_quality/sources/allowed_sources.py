"""Which addresses ``csv_url`` and other sources may name: set by the platform's environment.

Never by run config: a person who may launch runs must not be able to widen what they may read.
By default only public hosts over https, S3 buckets and the platform's own places are allowed. The
command line trusts its own caller (``policy.settings.trust_the_caller``).
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from wine_quality.settings.allowed import BUCKETS, HOSTS, NETWORKS, ROOTS, SCHEMES
from wine_quality.settings.setting import WATCH
from wine_quality.sources.transfer import SourceError, path_of, redact_url, split_url

_WATCHED = f"{WATCH}_PLACE"

ANY = "*"
EVERYTHING_READ = {
    SCHEMES: "https,http,s3,file",
    HOSTS: ANY,
    NETWORKS: ANY,
    BUCKETS: ANY,
    ROOTS: "/",
}
"""The variables' values that allow all there is."""
_DEFAULTS: dict[str, str] = {
    SCHEMES: "https,s3,file",
    HOSTS: ANY,
    NETWORKS: "",
    BUCKETS: ANY,
    ROOTS: "",
}

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Not for hosts of the internet, though some releases of Python call them global: IANA's registries
# of special addresses, and what was deprecated and may still be used inside.
_SPECIAL = [
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24"),
        *("192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
    )
]
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
_PATTERN = frozenset("*?[")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ForbiddenSourceError(SourceError):
    """The platform's settings do not allow it; the message names the one that would."""


def scheme_of(url: str) -> str:
    """``https``, ``http``, ``s3``, ``file`` (paths too), or what else stands before ``://``."""
    scheme = split_url(url).scheme
    return scheme if scheme in ("http", "https", "s3", "file") or "://" in url else "file"


def check_allowed(url: str) -> None:
    """Refuse what may not be read, by its address; ``allowed_addresses`` checks hosts by IP later.

    Args:
        url: A URL of any scheme, a path, or a pattern such as ``s3://wines/2026/*.parquet``.

    Raises:
        ForbiddenSourceError: names the setting.
    """
    scheme = scheme_of(url)
    if scheme not in _items(SCHEMES):
        raise _forbidden(url, f"addresses with {scheme}:// are not read here", SCHEMES)
    if scheme in ("http", "https"):
        check_host(split_url(url).hostname or "", url)
    elif scheme == "s3":
        _check_bucket(url)
    elif scheme == "file":
        named = split_url(url).scheme == "file"
        check_path(Path(unquote(split_url(url).path)) if named else path_of(url), url)


def check_path(path: str | Path, url: str = "", more_roots: Sequence[str] = ()) -> None:
    """Check that a local file, or the files of a pattern, lie in an allowed folder, links followed.

    Args:
        more_roots: Files or folders that the code itself names, which may be read besides.

    Raises:
        ForbiddenSourceError: it does not; raised alike whether or not the file exists.
    """
    from wine_quality.paths import PACKAGED_RED_WINE

    text = str(path)
    if text == str(PACKAGED_RED_WINE):
        return
    roots = [os.path.realpath(root) for root in [*_roots(), *more_roots]]
    for path in {text, before_pattern(text)}:
        try:
            real = os.path.realpath(path)
        except ValueError as error:  # a NUL
            raise SourceError(f"{url or text} is not a usable path ({error}).") from error
        if not any(os.path.commonpath([real, root]) == root for root in roots):
            raise _forbidden(
                url or text, "it lies in no folder that may be read here, links followed", ROOTS
            )


def check_opened(descriptor: int, path: Path, url: str) -> None:
    """As ``check_path``, for the file that was opened: a link may have been put there meanwhile."""
    opened = Path(f"/proc/self/fd/{descriptor}")
    check_path(os.path.realpath(opened if opened.exists() else path), url)


def check_host(host: str, url: str) -> None:
    """Check that a host is on the list of names; its addresses are not looked at.

    Raises:
        ForbiddenSourceError: it is not.
    """
    name = host.lower().rstrip(".")
    for allowed in _items(HOSTS):
        wanted = allowed.lower().rstrip(".")
        if wanted in (ANY, name) or (wanted.startswith("*.") and name.endswith(wanted[1:])):
            return
    raise _forbidden(url, f"{host or 'no host'} is not among the hosts that are read here", HOSTS)


def check_behind_proxy(host: str, url: str) -> None:
    """Check that a host may be asked for through a proxy: the proxy resolves the name, and its
    address is not seen here, so the host must be named in the list.

    Raises:
        ForbiddenSourceError: the list of hosts takes any.
    """
    check_host(host, url)
    if ANY in _items(HOSTS) and ANY not in _items(NETWORKS):
        raise _forbidden(
            url,
            f"{host} is reached through a proxy ($HTTPS_PROXY, $HTTP_PROXY), so its address cannot "
            "be checked, and it is not named",
            HOSTS,
        )


def allowed_addresses(host: str, port: int, url: str) -> list[str]:
    """The addresses of a host that may be connected to; connect to these, not to the name, which
    may have another address when it is resolved again.

    Raises:
        ForbiddenSourceError: it has none.
        OSError: the name cannot be resolved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    allowed = [address for address in addresses if _may_connect(address)]
    if not allowed:
        raise _forbidden(
            url, f"{host} is at {', '.join(addresses)}, which is not a public address", NETWORKS
        )
    return allowed


def _may_connect(text: str) -> bool:
    address = _unwrapped(ipaddress.ip_address(text))
    if _is_public(address):
        return True
    return any(_contains(network, address) for network in _items(NETWORKS))


def _is_public(address: Address) -> bool:
    """Whether the address belongs to the public internet."""
    if address.version == 6 and address not in _PUBLIC_IPV6:
        return False
    return address.is_global and not any(address in network for network in _SPECIAL)


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


def _contains(network: str, address: Address) -> bool:
    if network == ANY:
        return True
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError as error:
        raise ForbiddenSourceError(f"${NETWORKS} has {network!r}: {error}") from None


def _check_bucket(url: str) -> None:
    """Check that the list has the bucket, or a prefix of the URL that ends at a slash."""
    wanted = url.partition("://")[2]
    for allowed in [*_items(BUCKETS), *_own_sources("s3")]:
        bucket = allowed.removeprefix("s3://").rstrip("/")
        if bucket == ANY or wanted.rstrip("/") == bucket or wanted.startswith(f"{bucket}/"):
            return
    raise _forbidden(url, "its bucket or prefix is not among those that are read here", BUCKETS)


def _roots() -> list[str]:
    return [
        unquote(urlsplit(root).path) if root.startswith("file:") else os.path.expanduser(root)
        for root in [*_items(ROOTS), *_own_sources("file")]
    ]


def _own_sources(scheme: str) -> list[str]:
    """The watched place, the history and the predictions that runs wrote: places of the platform,
    whose files may be read."""
    from wine_quality.paths import history_location, predictions

    sources = [os.environ.get(_WATCHED, ""), history_location(), str(predictions())]
    return [source for source in sources if source and scheme_of(source) == scheme]


def before_pattern(path: str) -> str:
    """The folder below which the files of a pattern lie; the path itself without a pattern."""
    parts = Path(path).parts
    plain = next((n for n, part in enumerate(parts) if _PATTERN & set(part)), len(parts))
    return str(Path(*parts[:plain])) if plain else "."


def _items(variable: str) -> Sequence[str]:
    given: Any = os.environ.get(variable)
    text = _DEFAULTS[variable] if given is None else given
    return [item.strip() for item in text.split(",") if item.strip()]


def _forbidden(url: str, why: str, variable: str) -> ForbiddenSourceError:
    listed = ", ".join(_items(variable)) or "none"
    if variable in (ROOTS, BUCKETS):
        listed += ", and those that the platform watches and writes"
    return ForbiddenSourceError(
        f"{redact_url(url)}: {why}. Whoever runs the platform allows it by ${variable} (now: "
        f"{listed}), in the environment of the code location."
    )
