"""``python -m wine_quality.stack.health code HOST:PORT``, ``webserver URL`` or ``daemon URL``.

The health checks of the containers: what `make stack` waits for. Standard library only.
"""

from __future__ import annotations

import argparse
import sys

from wine_quality.stack.dagster import daemon_ready, webserver_ready
from wine_quality.stack.service import port_answers


def main() -> int:
    """Exit code 0 when it is ready, 1 when not."""
    parser = argparse.ArgumentParser(prog="wine_quality.stack.health", description=__doc__)
    parser.add_argument("what", choices=("code", "webserver", "daemon"))
    parser.add_argument("address", help="of the code server HOST:PORT, else the webserver's URL")
    options = parser.parse_args()
    if options.what == "code":
        host, _, port = options.address.rpartition(":")
        ready = port_answers(host, int(port))
    else:
        checks = {"webserver": webserver_ready, "daemon": daemon_ready}
        ready = checks[options.what](options.address.rstrip("/"))
    return 0 if ready() else 1


if __name__ == "__main__":
    sys.exit(main())
