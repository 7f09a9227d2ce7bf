"""Spark's session, and the engine that runs the passes on it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.input_files import find_files
from wine_quality.engines.membership import Membership
from wine_quality.engines.row_table import WINES, Predictor, RowTable
from wine_quality.engines.scoring_pass import TestScores
from wine_quality.engines.spark_pass import reader_of, score_on, sum_on
from wine_quality.engines.threads import Progress
from wine_quality.engines.training_pass import FileSums
from wine_quality.sources.location import parse_server

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_CONNECT_SECONDS = 10.0
_LOCAL = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}


class SparkEngine:
    """See ``engine.Engine``. The session is made when rows are read, and serves later engines of
    this process too."""

    name = "spark"

    def __init__(
        self,
        patterns: Sequence[str],
        master: str = "local[*]",
        options: Mapping[str, str] | None = None,
        table: RowTable = WINES,
        trusted: bool = False,
    ) -> None:
        """Opens the files.

        Args:
            patterns: Files and patterns, local or ``s3://``, Parquet or CSV.
            master: Spark's master URL, such as ``spark://host:7077``; ``local[*]`` is this machine.
            options: Properties of the session, such as ``spark.executor.memory``.
            table: The columns to read.
            trusted: See ``input_files.find_files``.

        Raises:
            UnreadableFileError: a pattern names no file, or one cannot be opened.
        """
        self._master, self._options = master, dict(options or {})
        paths, self.left_out = find_files(patterns, trusted)
        self._reader = reader_of(paths, table)
        self.files = self._reader.files

    def sum_files(self, membership: Membership, progress: Progress | None = None) -> list[FileSums]:
        return sum_on(self._session(), self._reader, membership, progress)

    def score_test_part(
        self,
        membership: Membership,
        model: Predictor,
        scale: tuple[float, float],
        progress: Progress | None = None,
    ) -> TestScores:
        return score_on(self._session(), self._reader, membership, model, scale, progress)

    def close(self) -> None:
        self._reader.close()

    def _session(self) -> SparkSession:
        return session(self._master, self._options)


def session(master: str, options: Mapping[str, str]) -> SparkSession:
    """The session of this process.

    Raises:
        UnreadableFileError: PySpark or Java is missing, or the master does not answer.
    """
    _check(master)
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    if running is not None:
        if running.sparkContext.master == master:
            return running
        running.stop()
    project = str(Path(__file__).parents[2])
    path = os.pathsep.join([project, *filter(None, [os.environ.get("PYTHONPATH")])])
    local = master.startswith("local")
    properties = {
        **(_LOCAL if local else {}),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.sql.warehouse.dir": tempfile.gettempdir(),
        **options,
    }
    if local:
        os.environ["PYSPARK_PYTHON"] = sys.executable
        properties.setdefault("spark.executorEnv.PYTHONPATH", path)
    builder = SparkSession.builder.appName("wine_quality").master(master)
    for name, value in properties.items():
        builder = builder.config(name, value)
    try:
        try:
            return builder.getOrCreate()
        except PySparkRuntimeError as error:
            if error.getCondition() != "JAVA_GATEWAY_EXITED":
                raise
            # Java dies at its start where memory or processes are short for a moment.
            return builder.getOrCreate()
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise UnreadableFileError(
            f"Spark does not start on {master} ({first}). What Java says is in the step's stderr. "
            "See resources.training_engine.config.spark_master and .spark_options."
        ) from error


def _check(master: str) -> None:
    """Check for PySpark, Java and a master that answers: without them Spark would wait for minutes
    or fail with Java's errors.

    Raises:
        UnreadableFileError: one of them is missing.
    """
    if importlib.util.find_spec("pyspark") is None:
        raise UnreadableFileError(
            "the engine spark needs PySpark, which is not in this environment: make spark "
            "(MLFLOW=… for that version's), or pip install pyspark."
        )
    home = os.environ.get("JAVA_HOME")
    if not (home and Path(home, "bin", "java").exists()) and shutil.which("java") is None:
        raise UnreadableFileError(
            "the engine spark needs Java 17 or 21, and there is no java on PATH and no JAVA_HOME. "
            "On Debian: apt-get install openjdk-17-jre-headless."
        )
    if not master.startswith("spark://"):
        return
    for address in master.removeprefix("spark://").split(","):
        try:
            found = parse_server(f"spark://{address}", ("spark",))
            with socket.create_connection((found.host, found.port or 7077), _CONNECT_SECONDS):
                return
        except (OSError, ValueError) as error:
            reason = error
    raise UnreadableFileError(
        f"no Spark master answers at {master} ({reason}). Start it, or set "
        "resources.training_engine.config.spark_master."
    )
