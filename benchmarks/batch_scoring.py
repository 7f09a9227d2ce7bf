"""``make bench``: rows per second of batch scoring against ``model.predict`` in memory.

Each pass in a process of its own, over generated wines in one Parquet file: what `make predict`
does (read in batches, check, hash, predict, write), and a script that reads the file into pandas,
asks the model once, and writes Parquet. The model is the same, loaded by MLflow. Memory is what the
process has at its peak above what it had with everything imported and the model loaded. Of two
cores one should be free: reading and writing go on beside the model. Figures that were measured are
in docs/explanation/how-fast.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.policy.settings import trust_the_caller

SIZES = (100_000, 2_000_000)
RATIO_TARGET = 0.5
GROWTH_TARGET = 1.5
"""Memory at the larger size against that at the smaller, at most."""


def save_model(folder: Path) -> None:
    import mlflow.sklearn
    import pandas as pd
    from mlflow.models import infer_signature

    from wine_quality.models.elastic_net.fit import fit_elastic_net
    from wine_quality.paths import PACKAGED_RED_WINE

    wines = pd.read_csv(PACKAGED_RED_WINE, sep=";")
    model = fit_elastic_net(wines, 0.01, 0.5)
    rows = wines[list(FEATURES)]
    signature = infer_signature(rows, model.predict(rows))
    # Without requirements of its own, which pip would be asked for.
    mlflow.sklearn.save_model(model, str(folder), signature=signature, pip_requirements=[])


def one_pass(kind: str, model_folder: str, file: str, out: str) -> dict[str, Any]:
    """In this process: seconds, of them those of ``model.predict``, and MiB at the peak."""
    import mlflow.pyfunc
    import numpy as np
    import pandas as pd
    import pyarrow.parquet  # noqa: F401 - both need it
    from upath import UPath

    from wine_quality.scoring.inputs import Inputs
    from wine_quality.scoring.score import ScoringModel, Target, score

    loaded = mlflow.pyfunc.load_model(model_folder)
    loaded.predict(pd.DataFrame(np.ones((2, len(FEATURES))), columns=list(FEATURES)))
    before, predicting, began = _resident(), 0.0, time.perf_counter()
    if kind == "batches":
        inputs = Inputs([file])
        model = ScoringModel("1", [(name, "FP64") for name in FEATURES], loaded.predict)
        score(inputs, model, Target(UPath(out), None, [], datetime(2026, 1, 1), {}))
        inputs.close()
    else:
        frame = pd.read_parquet(file).drop(columns=TARGET)
        asked = time.perf_counter()
        predicted = loaded.predict(frame)
        predicting = time.perf_counter() - asked
        pd.DataFrame({"prediction": predicted}).to_parquet(out)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "predicting": predicting, "mib": _peak() - before}


def _status(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise ValueError(field)


def _resident() -> float:
    """MiB; the peak begins anew here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> float:
    return _status("VmHWM")


def measure(folder: Path, rows: int, rounds: int) -> dict[str, dict[str, float]]:
    """The best of some rounds of each kind."""
    from wine_quality_tests.support.generated_wines import write_wines

    file = folder / f"{rows}.parquet"
    write_wines(file, rows, seed=1)
    found: dict[str, list[dict[str, float]]] = {"batches": [], "memory": []}
    for _ in range(rounds):
        for kind, passes in found.items():
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.batch_scoring", "--pass"]
            arguments = [kind, str(folder / "model"), str(file), str(folder / "out.parquet")]
            done = subprocess.run(command + arguments, capture_output=True, text=True, check=True)
            passes.append(json.loads(done.stdout.splitlines()[-1]))
    file.unlink()
    return {kind: min(passes, key=lambda one: one["seconds"]) for kind, passes in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="passes of each kind and size (3)")
    parser.add_argument("--pass", nargs=4, dest="one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    trust_the_caller()
    if options.one:
        print(json.dumps(one_pass(*options.one)))
        return
    load = "{:.1f}, {:.1f}, {:.1f}".format(*os.getloadavg())
    print(f"{os.cpu_count()} cores; load average before: {load}")
    memory = {}
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        save_model(folder / "model")
        for rows in SIZES:
            found = measure(folder, rows, options.rounds)
            batches, whole = found["batches"], found["memory"]
            memory[rows] = batches["mib"]
            ratio = whole["seconds"] / batches["seconds"]
            alone = whole["predicting"] / batches["seconds"]
            print(
                f"{rows:>9,} rows: in batches {rows / batches['seconds']:>10,.0f} rows/s, "
                f"{batches['mib']:.0f} MiB; a script in memory {rows / whole['seconds']:,.0f} "
                f"rows/s, {whole['mib']:.0f} MiB; ratio {ratio:.2f} (target {RATIO_TARGET:g}: "
                f"{_verdict(ratio >= RATIO_TARGET)}); against its model.predict alone {alone:.2f} "
                f"({_verdict(alone >= RATIO_TARGET)})",
                flush=True,
            )
    growth = memory[SIZES[-1]] / max(memory[SIZES[0]], 1)
    print(
        f"memory at {SIZES[-1]:,} rows against {SIZES[0]:,}: {growth:.2f} "
        f"(target {GROWTH_TARGET:g}: {_verdict(growth <= GROWTH_TARGET)})"
    )


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"


if __name__ == "__main__":
    main()
