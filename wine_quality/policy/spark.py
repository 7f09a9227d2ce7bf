"""Which Spark masters and properties run config may name.

Properties of Spark run commands (``spark.driver.extraJavaOptions``), load code (``spark.jars``,
``.packages``, ``.plugins``) and write files. So only properties that are a size, a number or a time
are open to run config, and their values must be one; the platform's operator may list more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from wine_quality.policy.settings import (
    SPARK_MASTERS,
    SPARK_OPTIONS,
    allowed_items,
    allows_any,
    forbidden,
)

MASTER_FIELD = "resources.training_engine.config.spark_master"
OPTIONS_FIELD = "resources.training_engine.config.spark_options"

HARMLESS = frozenset(
    {
        "spark.cores.max",
        "spark.default.parallelism",
        "spark.driver.cores",
        "spark.driver.maxResultSize",
        "spark.driver.memory",
        "spark.driver.memoryOverhead",
        "spark.dynamicAllocation.enabled",
        "spark.dynamicAllocation.initialExecutors",
        "spark.dynamicAllocation.maxExecutors",
        "spark.dynamicAllocation.minExecutors",
        "spark.executor.cores",
        "spark.executor.heartbeatInterval",
        "spark.executor.instances",
        "spark.executor.memory",
        "spark.executor.memoryOverhead",
        "spark.executor.pyspark.memory",
        "spark.locality.wait",
        "spark.memory.fraction",
        "spark.memory.storageFraction",
        "spark.network.timeout",
        "spark.python.worker.memory",
        "spark.rpc.askTimeout",
        "spark.speculation",
        "spark.sql.adaptive.enabled",
        "spark.sql.execution.arrow.maxRecordsPerBatch",
        "spark.sql.shuffle.partitions",
        "spark.task.cpus",
        "spark.task.maxFailures",
    }
)
"""Properties open to run config when the operator has set none."""

_AMOUNT = re.compile(
    r"[0-9]{1,12}(\.[0-9]{1,6})?(b|kb?|mb?|gb?|tb?|us|ms|s|min|h|d)?|true|false", re.IGNORECASE
)
_LOCAL = re.compile(r"local(\[(\*|[0-9]{1,4})\])?")
_STANDALONE = "spark://"


def check_master(master: str) -> None:
    """``local[*]``, ``local[4]``, or what ``$WINE_QUALITY_ALLOWED_SPARK_MASTERS`` lists; of a
    standalone cluster with several masters each.

    Raises:
        ForbiddenConfigError: it is neither.
    """
    if _LOCAL.fullmatch(master) or allows_any(SPARK_MASTERS):
        return
    listed = {one.removeprefix(_STANDALONE) for one in allowed_items(SPARK_MASTERS)}
    hosts = master.removeprefix(_STANDALONE).split(",") if master.startswith(_STANDALONE) else []
    if master in listed or (hosts and all(host in listed for host in hosts)):
        return
    raise forbidden(MASTER_FIELD, master, "it is not a master that runs may use", SPARK_MASTERS)


def check_options(options: Mapping[str, str]) -> None:
    """Harmless properties with an amount, or those that ``$WINE_QUALITY_ALLOWED_SPARK_OPTIONS``
    lists, with any value.

    Raises:
        ForbiddenConfigError: names the property.
    """
    if allows_any(SPARK_OPTIONS):
        return
    listed = allowed_items(SPARK_OPTIONS)
    for name, value in options.items():
        field = f"{OPTIONS_FIELD}.{name}"
        if name in listed:
            continue
        if name not in HARMLESS:
            raise forbidden(field, value, "runs may not set this property", SPARK_OPTIONS)
        if not _AMOUNT.fullmatch(value):
            raise forbidden(
                field,
                value,
                "it is not a number, size such as 4g, time or true/false",
                SPARK_OPTIONS,
            )
