"""``make bench-scale``: an elastic net on 1 M, 10 M and 100 M wines, by this pipeline and others.

Each row of a table is a process of its own over the same generated Parquet file, in turn; medians
of the rounds (rows of more than ten seconds run once). ``s`` is the work: from Parquet to
coefficients, without ``start`` (interpreter, imports, a JVM). The ratios to the scan of the same
rounds are what counts, of time and of processor time: the seconds are those of the machine.
Memory is that of all the row's processes from their start. The error is the largest of a
coefficient relative to itself, against scikit-learn in double precision in memory, converged;
where that does not fit, and for SGD, which solves the problem of scaled columns, against the
solution from covariances by DuckDB's SQL.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.scale_meter import available_bytes
from benchmarks.scale_plot import draw
from benchmarks.scale_rows import ALPHA, CORES, L1_RATIO, NAMES, ROWS
from benchmarks.scale_run import Measured, Skipped, measure
from wine_quality.environments.tools import tools_python
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.generated_wines import write_wines

if TYPE_CHECKING:
    from wine_quality.models.elastic_net.moments import Moments

SCAN_TARGET, MEMORY_TARGET = 1.5, 1e9
LONG_SECONDS = 10.0
BYTES_PER_ROW = 89
# Beside the file: Spark and H2O may spill.
SPARE_DISK = 10e9


class Size:
    """One table: the rows of one number of wines."""

    def __init__(self, python: Path, path: str, wines: int) -> None:
        self._python, self._path, self.wines = python, path, wines
        self.runs: dict[str, list[Measured]] = {}
        self.skipped: dict[str, str] = {}

    def run(self, rows: Sequence[str], rounds: int, smaller: Sequence[Size]) -> None:
        for number in range(rounds):
            for row in rows:
                known = self.runs.get(row)
                if row in self.skipped or (known and known[0].seconds > LONG_SECONDS):
                    continue
                try:
                    self._check_memory(row, smaller)
                    measured = measure(self._python, row, self._path)
                except Skipped as reason:
                    self.skipped[row] = str(reason)
                    print(f"  {row:8} skipped: {reason}", file=sys.stderr, flush=True)
                    continue
                self.runs.setdefault(row, []).append(measured)
                print(
                    f"  {row:8} round {number + 1}: start {measured.start:5.2f} s, work "
                    f"{measured.seconds:7.2f} s, processor {measured.cpu:7.2f} s, "
                    f"{measured.peak / 1e9:5.2f} GB",
                    file=sys.stderr,
                    flush=True,
                )

    def _check_memory(self, row: str, smaller: Sequence[Size]) -> None:
        """By its peaks on fewer wines, that of 100 times as many may not fit.

        Raises:
            Skipped: it would not.
        """
        known = {size.wines: size.runs[row][0].peak for size in smaller if row in size.runs}
        if len(known) < 2:
            return
        (few, low), (many, high) = sorted(known.items())[-2:]
        expected = high + (high - low) / (many - few) * (self.wines - many)
        free = available_bytes()
        if expected > 0.9 * free:
            raise Skipped(f"would take about {expected / 1e9:.0f} GB; {free / 1e9:.0f} GB are free")

    def median(self, row: str, what: str) -> float:
        return statistics.median(getattr(one, what) for one in self.runs[row])

    def ratio(self, row: str, what: str) -> float:
        """To the scan, round by round."""
        pairs = zip(self.runs[row], self.runs["scan"], strict=False)
        return statistics.median(getattr(a, what) / getattr(b, what) for a, b in pairs)

    def print_table(self) -> None:
        print(f"\n{self.wines:,} wines, {os.path.getsize(self._path) / 1e6:,.0f} MB of Parquet:\n")
        print(
            "| | start, s | s | processor s | × scan | × its processor time | GB | error | runs |"
        )
        print("|---|---|---|---|---|---|---|---|---|")
        errors = self._errors()
        for row in [*self.runs, *self.skipped]:
            title = ROWS[row][0]
            if row in self.skipped:
                print(f"| {title} | skipped: {self.skipped[row]} |||||||")
                continue
            print(
                f"| {title} | {self.median(row, 'start'):.2f} | {self.median(row, 'seconds'):.2f} "
                f"| {self.median(row, 'cpu'):.2f} | {self.ratio(row, 'seconds'):.1f} "
                f"| {self.ratio(row, 'cpu'):.1f} | {self.median(row, 'peak') / 1e9:.2f} "
                f"| {errors.get(row, '')} | {len(self.runs[row])} |"
            )
        sys.stdout.flush()

    def _errors(self) -> dict[str, str]:
        """Of each row whose coefficients there are."""
        with_found = [row for row in self.runs if self.runs[row][0].found[0]["coefficients"]]
        if not with_found:
            return {}
        moments = self._covariances()
        in_memory = None
        if "pandas" in self.runs:
            in_memory = self.runs["pandas"][0].found[1]["coefficients"]
        accuracy = {}
        for row in with_found:
            found = self.runs[row][0].found[0]
            exact = _solution(moments, found["scales"]) if "scales" in found else in_memory
            if exact is None:
                exact = _solution(moments, None)
            accuracy[row] = f"{_error(found['coefficients'], exact):.0e}"
        return accuracy

    def _covariances(self) -> Moments:
        import numpy as np

        from wine_quality.models.elastic_net.moments import Moments

        (found,) = measure(self._python, "covariances", self._path).found
        cross = np.zeros((len(NAMES), len(NAMES)))
        cross[np.tril_indices(len(NAMES))] = np.array(found["covariances"]) * found["rows"]
        cross += np.tril(cross, -1).T
        n, mean = found["rows"], np.array(found["means"])
        return Moments(tuple(NAMES), n, float(n), mean, cross, np.zeros(len(NAMES)))


def _solution(moments: Moments, scales: Sequence[float] | None) -> Sequence[float]:
    """Converged; of columns divided by ``scales``, given in the columns' own units."""
    from dataclasses import replace

    import numpy as np

    from wine_quality.models.elastic_net.fit_moments import fit_from_moments

    by = np.array([*(scales or [1.0] * (len(NAMES) - 1)), 1.0])
    scaled = replace(moments, mean=moments.mean / by, cross=moments.cross / np.outer(by, by))
    model = fit_from_moments(scaled, ALPHA, L1_RATIO, tol=1e-12, max_iter=100_000)
    return [float(one) for one in model.coef_ / by[:-1]]


def _error(got: Sequence[float], exact: Sequence[float]) -> float:
    """Of the worst coefficient; one that should be zero is compared with the largest."""
    largest = max(map(abs, exact))
    return max(abs(a - b) / (abs(b) or largest) for a, b in zip(got, exact, strict=True))


def judge(sizes: Sequence[Size]) -> None:
    """The issue's goals, met or not."""
    for size in sizes:
        if "duckdb" not in size.runs or "scan" not in size.runs:
            continue
        ratio, peak = size.ratio("duckdb", "seconds"), size.median("duckdb", "peak")
        others = {row: size.median(row, "seconds") for row in size.runs if row != "scan"}
        ours = min(others.get(row, float("inf")) for row in ("duckdb", "arrow"))
        theirs = min((s for row, s in others.items() if row not in _OURS), default=float("inf"))
        print(
            f"{size.wines:,} wines on DuckDB: {ratio:.1f} × a scan "
            f"(target {SCAN_TARGET:g}: {_verdict(ratio <= SCAN_TARGET)}), {peak / 1e9:.2f} GB "
            f"(target {MEMORY_TARGET / 1e9:g}: {_verdict(peak <= MEMORY_TARGET)}), "
            f"ahead of every other row: {_verdict(ours < theirs)}"
        )


_OURS = ("duckdb", "arrow", "spark")


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def _fits_disk(wines: int, folder: str) -> bool:
    needed, free = wines * BYTES_PER_ROW + SPARE_DISK, shutil.disk_usage(folder).free
    if needed > free:
        print(
            f"{wines:,} wines skipped: {needed / 1e9:.0f} GB of disk needed, {free / 1e9:.0f} free"
        )
    return needed <= free


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=float, nargs="+", default=[1e6, 1e7], metavar="N")
    parser.add_argument("--full", action="store_true", help="100 M wines too, where disk allows")
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--rounds", type=int, default=5, help="of rows of less than 10 s (5)")
    parser.add_argument("--folder", help="keep the generated files here, and use those of before")
    parser.add_argument("--plots", action="store_true", help="draw docs/images/scale-*.png anew")
    options = parser.parse_args()
    python = tools_python("bench")
    sizes: list[Size] = []
    with tempfile.TemporaryDirectory() as passing:
        folder = options.folder or passing
        print(f"{CORES} cores, {platform.machine()}, medians of {options.rounds} rounds.")
        for wines in [*map(int, options.rows), *([100_000_000] if options.full else [])]:
            path = os.path.join(folder, f"wines-{wines}.parquet")
            if not os.path.exists(path):
                if not _fits_disk(wines, folder):
                    continue
                write_wines(path, wines)
            size = Size(python, path, wines)
            size.run(options.only, options.rounds, sizes)
            size.print_table()
            sizes.append(size)
            if options.plots:
                _draw(sizes)
    print()
    judge(sizes)


def _draw(sizes: Sequence[Size]) -> None:
    """From the sizes so far."""
    series: dict[str, dict[int, tuple[float, int]]] = {}
    for row, (title, _) in ROWS.items():
        found = {
            size.wines: (size.median(row, "seconds"), int(size.median(row, "peak")))
            for size in sizes
            if row in size.runs
        }
        if found:
            series[title] = found
    draw(series, PROJECT_ROOT / "docs" / "images")


if __name__ == "__main__":
    main()
