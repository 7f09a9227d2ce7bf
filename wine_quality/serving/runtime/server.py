"""``python -m wine_quality_runtime.server REPOSITORY``: MLServer, limits, and handing over.

Settings are MLServer's own (``MLSERVER_HOST``, ``MLSERVER_HTTP_PORT``, ``MLSERVER_GRPC_PORT`` …),
with these defaults changed: no debug (its errors show stack traces), prediction in the process
itself (a linear model takes less time than a message to a worker), answers not compressed.

``WINE_QUALITY_SERVE_REPOSITORY_API=true`` opens the calls that load and unload models, which
Seldon Core 2 makes.
"""

from __future__ import annotations

import argparse
import os
import sys

DEFAULTS = {
    "MLSERVER_DEBUG": "false",
    "MLSERVER_PARALLEL_WORKERS": "0",
    "MLSERVER_GZIP_ENABLED": "false",
    # One row or a thousand: threads of BLAS only get in each other's way.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
REPOSITORY_API = "WINE_QUALITY_SERVE_REPOSITORY_API"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="wine_quality_runtime.server", description=__doc__)
    parser.add_argument("repository", help="folder with a model-settings.json per model")
    parser.add_argument(
        "--private-fd", type=int, help="listen on this socket only, until `go` comes on stdin"
    )
    parser.add_argument("--public-fd", type=int, help="the socket to listen on from then on")
    parser.add_argument("--report-fd", type=int, help="where to write `listening` after `go`")
    options = parser.parse_args(arguments)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    from .limits import most_bytes, most_rows, most_seconds

    try:
        most_rows(), most_seconds()
        os.environ.setdefault("MLSERVER_GRPC_MAX_MESSAGE_LENGTH", str(most_bytes()))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    import asyncio

    from mlserver.logging import configure_logger
    from mlserver.utils import install_uvloop_event_loop

    from .serve import serve

    configure_logger()
    install_uvloop_event_loop()
    may_load = os.environ.get(REPOSITORY_API, "").strip().lower() in ("true", "1", "yes")
    fds = None
    if options.private_fd is not None:
        fds = (options.private_fd, options.public_fd, options.report_fd)
    return asyncio.run(serve(options.repository, may_load, fds))


if __name__ == "__main__":
    sys.exit(main())
