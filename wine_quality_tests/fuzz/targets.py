"""Every kind of bad input, how it is made up and held against its rule."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from wine_quality_tests.fuzz import arriving, csv_files, parquet_files, run_configs, urls
from wine_quality_tests.fuzz.outcome import Target

TARGETS = {
    "csv": Target(csv_files.FILES, csv_files.check_loaded, 500),
    "csv_streamed": Target(csv_files.FILES, parquet_files.check_csv, 120),
    "parquet_shapes": Target(parquet_files.shaped(), parquet_files.check_parquet, 60),
    "parquet_damage": Target(parquet_files.broken(), parquet_files.check_parquet, 100),
    "run_configs": Target(run_configs.configs(), run_configs.check_config, 150),
    "urls": Target(urls.URLS, urls.check_url, 200),
    "web_answers": Target(urls.ANSWERS, urls.check_answer, 60),
    "sensor_files": Target(arriving.TICKS, arriving.check_ticks, 60),
    "watch_variables": Target(arriving.VARIABLES, arriving.check_variables, 150),
}


def search(target: Target, examples: int, number: int) -> Counter[str]:
    """Draw so many examples from a seed; what they came to.

    Raises:
        Whatever the first finding raised, for the smallest example that does, which is in its
        notes.
    """
    outcomes: Counter[str] = Counter()
    root = Path(tempfile.mkdtemp(prefix="wine-quality-fuzz-"))

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(target.strategy)
    def rule(example: Any) -> None:
        folder = Path(tempfile.mkdtemp(dir=root))
        try:
            outcomes[target.check(example, folder)] += 1
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    try:
        rule()
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return outcomes
