"""Kills a run's process right after an event of the run is stored; on the tests' ``PYTHONPATH``.

The run's tag ``test/kill`` says whom and when: ``worker 12`` after the twelfth event of its log,
``child registered_model STEP_SUCCESS`` after the first whose step, type and message hold these
words. ``child`` is the executor's process that runs the steps of another MLflow version. A file
with the run's id in ``$WINE_QUALITY_TESTS_KILL`` says that somebody was killed.
"""

import importlib.machinery
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

TAG = "test/kill"
FOLDER = "WINE_QUALITY_TESTS_KILL"
_MODULE = "dagster._core.instance.methods.event_methods"
_CHILD = b"wine_quality.execution.worker"
_STAND_IN = b"warm_workers.py"
_PARENT = b"WINE_QUALITY_PARENT_PID="


class _Finder:
    """Has ``_MODULE`` patched when it is imported; importing Dagster here would cost all others."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != _MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_and_patch(module):
            execute(module)
            _patch(module)

        spec.loader.exec_module = exec_and_patch
        return spec


def _patch(module):
    for found in vars(module).values():
        if isinstance(found, type) and "handle_new_event" in vars(found):
            store = found.handle_new_event

            def store_and_kill(self, event, *args, store=store, **kwargs):
                store(self, event, *args, **kwargs)
                _kill_if_due(self, event)

            found.handle_new_event = store_and_kill


_asked = {}
"""The value of a run's tag, None if it has none; read once."""


def _kill_if_due(instance, event):
    if event.run_id not in _asked:
        run = instance.get_run_by_id(event.run_id)
        if run is None:
            return
        _asked[run.run_id] = None if run.parent_run_id else run.tags.get(TAG)
    if _asked[event.run_id] is None:
        return
    who, _, when = _asked[event.run_id].partition(" ")
    if when.isdigit():
        due = _stored(instance, event.run_id) == int(when)
    else:
        text = describe(event)
        due = all(word in text for word in when.split())
    if due and (victim := _pid_of(who)) is not None:
        Path(os.environ[FOLDER], event.run_id).touch()
        os.kill(victim, signal.SIGKILL)
        if _is_child() or who == "worker":
            time.sleep(60)  # dies with its parent, in a moment


def _stored(instance, run_id):
    """How many events of a run are stored; to read them all would take longer than the run."""
    from sqlalchemy import text

    count = text("SELECT COUNT(*) FROM event_logs WHERE run_id = :run")
    with instance.event_log_storage.run_connection(run_id) as connection:
        return connection.execute(count, {"run": run_id}).scalar()


def describe(event):
    """Step, type and message of an entry of the event log."""
    inner = event.dagster_event
    kind = inner.event_type_value if inner else "LOG"
    text = (inner.message if inner else event.user_message) or ""
    return f"{event.step_key or ''} {kind} {text}"


def _is_child():
    return _CHILD in Path("/proc/self/cmdline").read_bytes()


def _pid_of(who):
    """Of the worker or its child; None while there is no child."""
    if _is_child():
        return os.getpid() if who == "child" else _parent(os.getpid())
    if who == "worker":
        return os.getpid()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes()
            is_child = _CHILD in command and _STAND_IN not in command
            if is_child and _parent(process.name) == os.getpid():
                return int(process.name)
    return None


def _parent(pid):
    """The process that started a child, whoever forked it."""
    variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    found = [text for text in variables if text.startswith(_PARENT)]
    return int(found[0].partition(b"=")[2])


if os.environ.get(FOLDER):
    if _MODULE in sys.modules:  # of a fork that has it already
        _patch(sys.modules[_MODULE])
    else:
        sys.meta_path.insert(0, _Finder)
