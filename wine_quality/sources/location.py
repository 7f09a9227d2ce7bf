"""The one parser of addresses: what it accepts, every client reads alike.

``http://evil:80\\@mlflow:5000`` is the host ``mlflow`` to urllib and ``evil`` to requests. A
check with one of them is worthless for a connection by the other. So any text that two parsers
could read differently is refused here: backslashes, white space, control characters, a second
``@``, hosts with other characters than those of names and addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from wine_quality.escaping import ShownError, escaped

LONGEST = 4096
_USER = r"[A-Za-z0-9._~!$&'()*+,;=%-]*"
_PASSWORD = r"[A-Za-z0-9._~!$&'()*+,;=%:-]*"
_HOST = r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+"
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    rf"(?:(?P<user>{_USER})(?::(?P<password>{_PASSWORD}))?@)?"
    rf"(?P<host>{_HOST})?(?::(?P<port>[0-9]{{1,5}}))?"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?"
)
_OBJECT = re.compile(r"s3://(?P<bucket>[^/]*)(?:/(?P<key>.*))?", re.IGNORECASE | re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9._*?\[\]!-]*")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_NO_SLASHES = re.compile(r"(https?|s3|spark|postgres(ql)?):", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432}


class LocationError(ShownError, ValueError):
    """The text is not an address that all clients read alike; the message names the fault."""


@dataclass(frozen=True)
class Location:
    """An address, taken apart once.

    Attributes:
        text: As it was given.
        scheme: In lower case, such as ``https``, ``s3`` or ``file``; empty: a path of this machine.
        user: Before the ``@``, with ``password`` as it stands there; empty: none.
        host: In lower case, without the brackets of IPv6; of S3 the bucket.
        port: None: that of the scheme.
        path: As it stands there; of S3 the key, without a slash before it.
        query: As it stands there, without the question mark.
    """

    text: str = field(repr=False)
    scheme: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    host: str = ""
    port: int | None = None
    path: str = ""
    query: str = field(default="", repr=False)

    @property
    def has_credentials(self) -> bool:
        return bool(self.user or self.password)

    @property
    def server(self) -> tuple[str, str, int | None, str]:
        """Scheme, host, port and path: two texts with the same lead to the same place."""
        port = self.port or _DEFAULT_PORTS.get(self.scheme)
        return self.scheme, self.host.rstrip("."), port, self.path.rstrip("/")

    def names_login_of(self, other: Location) -> bool:
        """Whether user and password, as far as they are given, are the same as the other's."""
        return self.user in ("", other.user) and self.password in ("", other.password)

    @property
    def shown(self) -> str:
        """For people: without user, password and query."""
        return redacted(self.text)


def parse_location(text: str) -> Location:
    """An address with ``://``, or else a path.

    Raises:
        LocationError: clients could read it differently, or it is longer than 4096 characters.
    """
    if len(text) > LONGEST:
        raise LocationError(f"{redacted(text)[:80]}… has {len(text)} characters, over {LONGEST}.")
    try:
        text.encode()  # file names may be any bytes; logs, tags and hashes are of text
    except UnicodeEncodeError:
        raise LocationError(f"{redacted(text)} is not UTF-8. Rename the file.") from None
    if "://" not in text:
        return _path(text)
    scheme = text.partition("://")[0].lower()
    _refuse_characters(text, spaces=scheme in ("file", "s3", "sqlite"))
    return _object(text) if scheme == "s3" else _address(text)


def parse_server(text: str, schemes: tuple[str, ...] = ("http", "https")) -> Location:
    """The address of a server: one of ``schemes``, and a host.

    Raises:
        LocationError: it is not such an address.
    """
    found = parse_location(text)
    if found.scheme not in schemes or not found.host:
        wanted = " or ".join(f"{one}://host" for one in schemes)
        raise LocationError(f"{redacted(text)} is not an address such as {wanted}.")
    return found


def check_host_name(text: str) -> str:
    """A host that stands alone, such as that of a mail server.

    Raises:
        LocationError: it is neither a name nor an IP address.
    """
    if not _NAME.fullmatch(text) or text.startswith("-"):
        raise LocationError(
            f"{escaped(text)[:80]!r} is neither the name nor the address of a host."
        )
    return text


def redacted(text: str) -> str:
    """Any text as it may be shown: without what may be user, password or query of an address."""
    scheme, slashes, rest = text.partition("//")
    if not slashes or (scheme and not scheme.endswith(":")):
        return escaped(text)
    whole = _URL.fullmatch(text) or scheme.lower() in ("s3:", "file:")
    # In a text that is not a URL, the end of the password is not known.
    rest = re.sub(r"^[^/?#]*@" if whole else r"^.*@", "", rest, flags=re.DOTALL)
    before, question, _ = rest.partition("#")[0].partition("?")
    return escaped(f"{scheme}//{before}{question and '?…'}")


def _refuse_characters(text: str, spaces: bool) -> None:
    """In file names and keys a space is a space; elsewhere it is where clients cut or quote."""
    shown = redacted(text)
    if "\\" in text:
        raise LocationError(
            f"{shown} has a backslash, which clients read differently. Leave it out."
        )
    for one in text:
        if one == " " and spaces:
            continue
        if one.isspace() or not one.isprintable():
            raise LocationError(
                f"{shown} has white space or a control character ({escaped(one)!r}). "
                "Write it as %XX, or leave it out."
            )


def _path(text: str) -> Location:
    if "\0" in text:
        raise LocationError(f"{escaped(text)} is not a usable path: it has a NUL.")
    if _NO_SLASHES.match(text):
        raise LocationError(f"{redacted(text)} is not a usable URL: two slashes follow the colon.")
    if text[:5].lower() == "file:":
        return Location(text, "file", path=text[5:].partition("?")[0].partition("#")[0])
    return Location(text, path=text)


def _object(text: str) -> Location:
    found = _OBJECT.fullmatch(text)
    assert found is not None
    bucket, key = found["bucket"], found["key"] or ""
    if not _BUCKET.fullmatch(bucket):
        raise LocationError(f"{redacted(text)}: no usable name of a bucket.")
    if ".." in key.split("/"):
        raise LocationError(
            f"{redacted(text)} has the part '..', which a store may follow upwards."
        )
    return Location(text, "s3", host=bucket, path=key)


def _address(text: str) -> Location:
    found = _URL.fullmatch(text)
    if found is None or int(found["port"] or 1) not in range(1, 65536):
        raise LocationError(
            f"{redacted(text)} is not a usable URL. Check how its host and port are written: ASCII "
            "(other names as xn--…), one @ at most, special characters of a password as %XX."
        )
    scheme, host = found["scheme"].lower(), (found["host"] or "").lower()
    if host.startswith("["):
        host = _ipv6(host[1:-1], text)
    if not host and (found["user"] or found["password"] or found["port"]):
        raise LocationError(f"{redacted(text)} names no host.")
    if scheme in ("http", "https") and not host:
        raise LocationError(f"{redacted(text)} names no host.")
    return Location(
        text,
        scheme,
        user=found["user"] or "",
        password=found["password"] or "",
        host=host,
        port=int(found["port"]) if found["port"] else None,
        path=found["path"] or "",
        query=found["query"] or "",
    )


def _ipv6(text: str, url: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise LocationError(f"{redacted(url)}: [{escaped(text)}] is not an IPv6 address.") from None
