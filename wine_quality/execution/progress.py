"""Progress lines for a terminal: when a step begins, when it ends, and the messages it logs."""

from __future__ import annotations

import logging

from dagster import InitLoggerContext, LoggerDefinition, colored_console_logger

from wine_quality.escaping import escaped_lines
from wine_quality.execution.terminal_log import terminal

NAME = "progress"


class ProgressHandler(logging.Handler):
    """Prints steps and messages; the reasons of failures are printed with the result."""

    def __init__(self) -> None:
        super().__init__()
        self._terminal = terminal()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = _line(record)
            if line is not None:
                print(escaped_lines(line), file=self._terminal, flush=True)
        except Exception:
            self.handleError(record)


def _line(record: logging.LogRecord) -> str | None:
    meta = getattr(record, "dagster_meta", {})
    event, step = meta.get("dagster_event"), meta.get("step_key")
    if event is None:
        message = meta.get("orig_message", record.getMessage())
        # Steps that a failure has put an end to need no line each.
        if record.levelno < logging.INFO or message.startswith("Dependencies for step"):
            return None
        # A message of an asset or a resource; its level is shown from WARNING on.
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        return f"  {step or 'run'}: {level}{message}"
    kind = event.event_type_value
    if kind == "STEP_START":
        return f"  {step} …"
    if kind == "STEP_SUCCESS":
        return f"  {step} done in {event.step_success_data.duration_ms / 1000:.1f} s"
    if kind == "STEP_RESTARTED":
        return f"  {step}, once more …"
    if kind == "STEP_FAILURE":
        return f"  {step} failed"
    if kind == "ENGINE_EVENT" and step is None and "own environment" in (event.message or ""):
        return f"  {event.message}"
    return None


def _make(_init_context: InitLoggerContext) -> logging.Logger:
    made = logging.getLogger("wine_quality.progress")
    made.setLevel(logging.DEBUG)  # Dagster logs its events at this level
    made.propagate = False
    made.handlers = [ProgressHandler()]
    return made


progress_logger = LoggerDefinition(
    _make, description="Short progress lines on stderr, for people who wait at a terminal."
)


def _escape(record: logging.LogRecord) -> bool:
    """Logging filter: escape unprintable characters; line breaks and tabs are kept."""
    record.msg, record.args = escaped_lines(record.getMessage()), ()
    return True


def _make_console(init_context: InitLoggerContext) -> logging.Logger:
    made = colored_console_logger.logger_fn(init_context)
    for handler in made.handlers:
        # Before the formatter, whose own colours stay.
        handler.addFilter(_escape)
    return made


console_logger = LoggerDefinition(
    _make_console,
    config_schema=colored_console_logger.config_schema,
    description="Dagster's console logger; text from outside is escaped.",
)
