"""A file read by the streaming engines, in a process of its own: a file must not end the process.

``python -m wine_quality_tests.fuzz.streamed`` answers each path on its input by a line of JSON.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wine_quality_tests.support.servers import dying_with_us

SECONDS = 60
MOST_MIB = 1500
"""Of a process that has read nothing but files of a few kilobytes."""


def stream(path: str, history_folder: str) -> dict[str, Any]:
    """``outcome`` is ``refused``, ``accepted`` or ``finding``."""
    import numpy as np

    from wine_quality.engines.membership import Membership
    from wine_quality.engines.parquet_reader import ParquetReader
    from wine_quality.engines.resource import EngineChoice, TrainingEngine
    from wine_quality.engines.training_pass import sum_files, total_of
    from wine_quality.history.wine_history import WineHistory
    from wine_quality.wines.loading import RawWineCsvConfig, WinesRefusedError
    from wine_quality.wines.streaming import aggregate, inspect_files
    from wine_quality_tests.fuzz.outcome import (
        OURS,
        kept,
        require_clear,
        require_nothing_kept,
    )

    history = WineHistory(base_path=history_folder)
    engine = TrainingEngine(engine=EngineChoice.duckdb, threads=2, memory_limit="256MB")
    membership = Membership(0.25, 2, 40)
    arrow: Any = None
    if path.endswith(".parquet"):
        try:
            arrow = total_of(sum_files(ParquetReader([path]), membership))
        except OURS as error:
            require_clear(error, path)
    try:
        inspection = inspect_files(RawWineCsvConfig(csv_url=path), engine, history)
        done = aggregate(inspection, membership, engine, history, lambda _line: None)
    except WinesRefusedError as error:
        require_clear(error, path)
        require_nothing_kept(history)
        return {"outcome": "refused", "message": str(error), "arrow": arrow is not None}
    except ValueError as error:
        # The wines are good, and too few to be divided.
        assert "none is in the" in str(error), f"{type(error).__name__}: {error}"
        kept(history)
        return {"outcome": "accepted", "wines": None}
    assert kept(history) == 1
    total = done.split.sums
    if arrow is not None:
        sums = [np.array(list(_numbers(one.to_plain()))) for one in (arrow, total)]
        assert np.allclose(*sums, rtol=1e-9, atol=1e-9), "the engines' sums differ"
    frame = done.split.sample.to_frame()
    rows = done.split.train_rows + done.split.test_rows
    return {"outcome": "accepted", "wines": frame.to_numpy().tolist(), "rows": rows}


def _numbers(plain: Any) -> Iterator[float]:
    if isinstance(plain, dict):
        plain = list(plain.values())
    if isinstance(plain, list):
        for one in plain:
            yield from _numbers(one)
    elif not isinstance(plain, str):
        yield float(plain)


def peak_mib() -> int:
    """Of this program; ``ru_maxrss`` also counts what the process was before it became this one."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = stream(asked["path"], asked["history"])
        except Exception:
            answer = {"outcome": "finding", "message": traceback.format_exc()}
        answer["mib"] = peak_mib()
        print(json.dumps(answer), flush=True)


class Streaming:
    """The process, started again when a file ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, path: Path, history: Path) -> dict[str, Any]:
        if self._process is None:
            self._process = subprocess.Popen(
                dying_with_us(sys.executable, "-W", "ignore", "-X", "faulthandler")
                + ["-m", __spec__.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(json.dumps({"path": str(path), "history": str(history)}) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], SECONDS)
        line = process.stdout.readline() if ready else ""
        if not line:
            process.kill()
            output = process.stderr.read()[-1500:]
            self._process = None
            how = f"ended the process ({process.wait()}): {output}" if ready else "hung"
            raise AssertionError(f"{path.name} {how}")
        answer = json.loads(line)
        assert answer["mib"] < MOST_MIB, f"{answer['mib']} MiB"
        assert answer["outcome"] != "finding", answer["message"]
        return answer


STREAMING = Streaming()

if __name__ == "__main__":
    main()
