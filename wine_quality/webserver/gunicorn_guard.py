"""Configuration of gunicorn that puts the guard before an MLflow server that has none of its own
(1.26, 2.1.1): ``GUNICORN_CMD_ARGS="--config python:wine_quality.webserver.gunicorn_guard"``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from wine_quality.webserver.guard import allowed_hosts, refusal


def post_worker_init(worker: Any) -> None:
    """gunicorn's hook: the worker has loaded its application and answers nobody yet."""
    worker.wsgi = guarded(worker.wsgi, allowed_hosts(os.environ.get("MLFLOW_HOST", "127.0.0.1")))


def guarded(application: Callable[..., Iterable[bytes]], hosts: frozenset[str]) -> Callable:
    """The WSGI application, for those whom ``refusal`` lets through."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = [
            (name.removeprefix("HTTP_").replace("_", "-"), str(value))
            for name, value in environ.items()
            if name.startswith("HTTP_")
        ]
        path = environ.get("PATH_INFO", "")
        reason = refusal(environ["REQUEST_METHOD"], path, headers, hosts)
        if reason is None:
            return application(environ, start_response)
        body = f"{reason}\n".encode()
        shown = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response("403 Forbidden", shown)
        return [body]

    return answer
