"""The fault matrix on a real stack: quick cells always, the others with $WINE_QUALITY_FAULTS=all.

`make faults` runs all and writes docs/fault-matrix.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.faults.chaos import Chaos
from wine_quality_tests.faults.fault_matrix import (
    CELLS,
    CLOCK,
    HANG,
    POSTGRES_DISK,
    S3_DISK,
    WORKER,
    Cell,
)
from wine_quality_tests.faults.faults import Case
from wine_quality_tests.faults.faulty_stack import FaultyStack, c_compiler
from wine_quality_tests.faults.invariants import stored, unloadable_versions
from wine_quality_tests.support.stack_client import processes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ALL = os.environ.get("WINE_QUALITY_FAULTS") == "all"
DISKS = (S3_DISK, POSTGRES_DISK)
PICKED = [cell for cell in CELLS if ALL or cell.quick]


@pytest.fixture(scope="module")
def stack() -> Iterator[FaultyStack]:
    versions = {cell.version for cell in PICKED}
    usable = [key for key in MLFLOW_VERSIONS if key in versions and _is_here(key)]
    disks = os.geteuid() == 0 and any(cell.row in DISKS for cell in PICKED)
    found = FaultyStack(usable, small_disks=disks)
    try:
        found.up()
        yield found
    finally:
        found.down()
    assert processes_of(found.home) == []


@pytest.fixture(scope="module")
def clock_stack() -> Iterator[FaultyStack]:
    """Another one, all of whose processes have a clock that can be set."""
    if c_compiler() is None:
        pytest.skip("no C compiler here for a clock that can be set: apt-get install gcc")
    found = FaultyStack(["3"], clock=True)
    try:
        found.up()
        yield found
    finally:
        found.down()


@pytest.fixture
def stack_of(request, stack, cell: Cell, record_property) -> FaultyStack:
    """The stack that a cell disturbs."""
    record_property("fault", (cell.row, cell.column, cell.version))
    if cell.row in DISKS and os.geteuid() != 0:
        pytest.skip("only root can give the stack file systems of its own to fill")
    return request.getfixturevalue("clock_stack") if cell.row == CLOCK else stack


def _is_here(key: str) -> bool:
    return MLFLOW_VERSIONS[key].python.exists()


@pytest.mark.parametrize("cell", PICKED, ids=str)
def test_cell(stack_of, cell: Cell, record_property):
    if not _is_here(cell.version):
        pytest.skip(f"no environment of MLflow {cell.version}")
    outcome = Case(stack_of, cell).execute()
    record_property("fault-result", outcome.result)
    record_property("fault-seconds", outcome.seconds)


@pytest.mark.skipif(not ALL, reason="`make faults` has it")
def test_a_worker_that_hangs_for_good_is_ended(stack):
    Case(stack, Cell(WORKER, HANG, "3")).hang_for_good()


@pytest.mark.skipif(not ALL, reason="`make faults` has it, and `make chaos` for longer")
def test_a_minute_of_chaos(stack):
    chaos = Chaos(stack, seed=1)
    assert chaos.run(40) == []
    assert chaos.killed


def test_every_registered_version_loads(stack):
    now = stored(stack)
    assert now.versions
    assert unloadable_versions(stack, now) == []
