"""The guard around an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from wine_quality.webserver.guard import refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# No page of another site shows the UI in a frame of its own, for people to click in.
_NO_FRAMES = [(b"x-frame-options", b"SAMEORIGIN")]


class GuardedApplication:
    """``application``, for those whom ``guard.refusal`` lets through; websockets included."""

    def __init__(self, application: Application, hosts: frozenset[str]) -> None:
        self._application, self._hosts = application, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._application(scope, receive, send)
        is_websocket = scope["type"] == "websocket"
        reason = refusal(
            scope.get("method", "GET"),
            scope["path"],
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
            self._hosts,
            websocket=is_websocket,
        )
        if reason is None:
            return await self._application(scope, receive, _unframed(send))
        if is_websocket:
            return await _refuse_websocket(scope, receive, send, reason)
        await respond(send, 403, f"{reason}\n")


async def respond(
    send: Send, status: int, text: str, *headers: tuple[bytes, bytes], kind: str = "text/plain"
) -> None:
    """A whole answer over HTTP."""
    body = text.encode()
    shown = (b"content-type", f"{kind}; charset=utf-8".encode())
    length = (b"content-length", str(len(body)).encode())
    plain = [shown, length, (b"cache-control", b"no-store"), *_NO_FRAMES, *headers]
    await send({"type": "http.response.start", "status": status, "headers": plain})
    await send({"type": "http.response.body", "body": body})


async def _refuse_websocket(scope: Scope, receive: Receive, send: Send, reason: str) -> None:
    await receive()  # "websocket.connect"
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        return await send({"type": "websocket.close", "code": 1008, "reason": reason})
    kind = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "websocket.http.response.start", "status": 403, "headers": [kind]})
    await send({"type": "websocket.http.response.body", "body": f"{reason}\n".encode()})


def _unframed(send: Send) -> Send:
    async def with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *_NO_FRAMES]
        await send(message)

    return with_header
