"""One run in a child of the warm process, from its first event to its last.

The same as ``dagster api execute_run`` in a process of its own; the events are the same.
"""

from __future__ import annotations

import atexit
import gc
import os
import random
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from wine_quality.dagster_support.dagster_private import (
    EngineEventData,
    InstanceRef,
    ReconstructableJob,
    capture_interrupts,
    core_execute_run,
    deserialize_value,
    get_run_crash_explanation,
    recon_job_from_origin,
)
from wine_quality.execution import messages
from wine_quality.execution.kept_connections import keep_connections
from wine_quality.tracking.runs.lifecycle import is_done, report_done

if TYPE_CHECKING:
    from wine_quality.execution.warm_server import Job

# A store that is away when a run has crashed may be back soon.
_REPORT_TRIES = 20
_REPORT_SECONDS = 5.0


def begin(job: Job) -> None:
    """Do the job and end this process."""
    os.setsid()
    code = 1
    try:
        if job.exit_code:
            _report_crash(job)
            code = 0
        else:
            _reset_process_state(job.descriptors)
            code = _execute(job)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except SystemExit as asked:
        code = asked.code if isinstance(asked.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        _end(code)


def _reset_process_state(descriptors: tuple[int, ...]) -> None:
    """Everything that a fork shares and a new process would have for itself."""
    for number, descriptor in enumerate(descriptors, 1):
        os.dup2(descriptor, number)
        os.close(descriptor)
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
    gc.set_threshold(700, 10, 10)
    threadpoolctl = sys.modules.get("threadpoolctl")
    if threadpoolctl is not None:
        # The parent loaded BLAS for one thread; here it may have what it would have taken.
        asked = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or ""
        threads = int(asked) if asked.isdecimal() else len(os.sched_getaffinity(0))
        threadpoolctl.threadpool_limits(threads, user_api="blas")


def _execute(job: Job) -> int:
    """Send this process's number to the launcher, wait until it is noted, and run."""
    assert job.connection is not None
    reference = deserialize_value(job.instance, InstanceRef)
    with capture_interrupts(), DagsterInstance.from_ref(reference) as instance:
        run = instance.get_run_by_id(job.run_id)
        if run is None or run.job_code_origin is None:
            raise RuntimeError(f"run {job.run_id} is not in this Dagster instance, with its origin")
        keep_connections(instance)
        recon_job = recon_job_from_origin(run.job_code_origin)
        with job.connection as connection:
            try:
                messages.send(connection, {"pid": os.getpid()})
                messages.receive(connection)
            except messages.ConnectionEndedError:
                return 0  # the launcher is gone, or launches the run in another way
        _run(instance, run, recon_job)
    return 0


def _run(instance: DagsterInstance, run: DagsterRun, recon_job: ReconstructableJob) -> None:
    pid = os.getpid()
    started = f"Started process for run (pid: {pid})."
    instance.report_engine_event(started, run, EngineEventData.in_process(pid))
    try:
        for _event in core_execute_run(recon_job, run, instance, inject_env_vars=True):
            pass
    except Exception:
        pass  # all that goes wrong was written to the event log before it was raised
    finally:
        instance.report_engine_event(f"Process for run exited (pid: {pid}).", run)


def _report_crash(job: Job) -> None:
    """End a run whose process has ended without doing so; the warm process has seen how."""
    reference = deserialize_value(job.instance, InstanceRef)
    for tries_left in reversed(range(_REPORT_TRIES)):
        try:
            with DagsterInstance.from_ref(reference) as instance:
                _end_run(instance, job)
            return
        except Exception:
            if not tries_left:
                raise
            time.sleep(_REPORT_SECONDS)


def _end_run(instance: DagsterInstance, job: Job) -> None:
    run = instance.get_run_by_id(job.run_id)
    if run is None or run.is_finished:
        return
    prefix = f"Run execution process for {job.run_id}"
    message = get_run_crash_explanation(prefix=prefix, exit_code=job.exit_code)
    instance.report_engine_event(message, run)
    if is_done(instance, run):
        report_done(instance, run)
    elif run.status == DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run)
    else:
        instance.report_run_failed(run)


def _end(code: int) -> None:
    """End like an interpreter, but without the second that clearing 4000 modules takes."""
    try:
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)
