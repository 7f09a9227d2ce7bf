"""``make bench``: a retention over 10,000 old runs, on a real server of a version.

How long it takes to look at them and to remove them, and the peak memory of the command (MiB). The
runs lie in the server's database, copied there; what removes them is `make retention`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.integration.test_promotion import Registry
from wine_quality_tests.support.many_runs import retire_many
from wine_quality_tests.support.servers import MlflowServer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="(10000)")
    parser.add_argument("--mlflow", default="3", choices=list(MLFLOW_VERSIONS), help="(3)")
    options = parser.parse_args()
    load = "{:.1f}, {:.1f}, {:.1f}".format(*os.getloadavg())
    print(f"{os.cpu_count()} cores; load average before: {load}")
    version = MLFLOW_VERSIONS[options.mlflow]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WINE_QUALITY_HOME"] = folder
        server = MlflowServer(version, Path(folder) / "mlflow")
        try:
            took = retire_many(Registry(version, server, Path(folder)), options.runs)
        finally:
            server.stop()
    print(
        f"retention over {options.runs} runs, MLflow {version.key}: shown in {took.shown:.0f} s, "
        f"removed in {took.removed:.0f} s ({options.runs / took.removed:.0f} runs/s), "
        f"peak {took.mib:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
