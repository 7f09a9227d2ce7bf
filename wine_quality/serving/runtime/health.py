"""``python -m wine_quality_runtime.health``: exit code 0 when server and model are ready."""

from __future__ import annotations

import os
import sys
import urllib.request

_SECONDS = 4


def main() -> int:
    port = os.environ.get("MLSERVER_HTTP_PORT", "8080")
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/v2/health/ready", timeout=_SECONDS
        ) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
