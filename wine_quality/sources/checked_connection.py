"""HTTP connections to nothing but hosts and addresses that are allowed, after redirects too.

A name is resolved once, and the connection goes to an address that was checked: it does not help
an attacker to have the name resolved to another one afterwards (DNS rebinding).
"""

from __future__ import annotations

import socket
from typing import Any

from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.util import parse_url

from wine_quality.sources.allowed_sources import (
    allowed_addresses,
    check_allowed,
    check_behind_proxy,
    check_host,
)
from wine_quality.sources.transfer import SourceError


class _Checked(HTTPConnection):
    def _new_conn(self) -> Any:
        name, url = self._dns_host, f"{self.host}:{self.port}"
        port = self.port or self.default_port
        # The very name that is connected to: parsers of URLs do not all agree.
        check_host(self.host, url)
        try:
            addresses = allowed_addresses(name.strip("[]"), port, url)
        except UnicodeError as error:
            raise SourceError(f"{url}: no usable name of a host.") from error
        except socket.gaierror as error:
            raise NewConnectionError(self, f"{name} cannot be resolved: {error}") from error
        failed: HTTPError | None = None
        for address in addresses:
            # The name stays that of the Host header and of the certificate.
            self._dns_host = address
            try:
                return super()._new_conn()
            except HTTPError as error:
                failed = error
            finally:
                self._dns_host = name
        assert failed is not None
        raise failed


class _CheckedTls(_Checked, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Checked


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedTls  # type: ignore[assignment]


class CheckedAdapter(HTTPAdapter):
    """Adapter of a ``requests`` session, by which each hop of a redirect is checked.

    Its methods raise ``ForbiddenSourceError``, which names the setting, besides what requests
    raises.
    """

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def send(self, request: Any, *arguments: Any, **options: Any) -> Any:
        check_allowed(request.url)
        if select_proxy(request.url, options.get("proxies")):
            check_behind_proxy(parse_url(request.url).host or "", request.url)
        return super().send(request, *arguments, **options)
