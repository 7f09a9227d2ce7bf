"""The page of all commands and make targets, made from the parser and the Makefile."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.reference_tables import table

_TARGET = re.compile(r"^([a-z-]+):.*?## (.*)$", re.MULTILINE)

_ABOUT = """\
Made from the code by `make reference`. From a checkout use `make`, which builds what a command
needs; `make run ARGS="--alpha 0.1"` passes options on. Without a checkout the command is
`wine-quality run`.

Commands that run a job (`run`, `sweep`, `promote`, `rollback`, `deploy`, `predict`, `retention`)
exit with 0 when the run succeeded, 1 when it failed (one line per reason on stderr), 2 on bad use,
and 130 on Ctrl-C, which cancels: the Dagster run is CANCELED and its MLflow run KILLED.

A variable that a target does not take is refused: `make run PORT=5005` stops with an error.
"""


def page() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    from wine_quality.__main__ import parser

    yield "# Commands"
    yield ""
    yield from _ABOUT.splitlines()
    yield ""
    yield "## make"
    yield ""
    makefile = (PROJECT_ROOT / "Makefile").read_text()
    rows = [(f"`make {name}`", _code(text)) for name, text in _TARGET.findall(makefile)]
    yield from table(("target", "what it does"), rows)
    commands = _subcommands(parser())
    helps = {action.dest: action.help or "" for action in commands._choices_actions}
    for name, command in commands.choices.items():
        yield from ("", f"## wine-quality {name}", "")
        text = helps.get(name, "")
        yield f"{text[:1].upper()}{text[1:]}."
        options = list(_options(command))
        if options:
            yield ""
            yield from table(("option", "meaning"), options)


def _subcommands(
    main: argparse.ArgumentParser,
) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    return next(
        action for action in main._actions if isinstance(action, argparse._SubParsersAction)
    )


def _options(command: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in command._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction):
            continue
        given = action.metavar if isinstance(action.metavar, str) else action.dest
        name = ", ".join(action.option_strings) or given
        if action.choices:
            name += " " + "|".join(str(choice) for choice in action.choices)
        elif action.option_strings and action.nargs != 0:
            is_number = action.type in (int, float)
            name += " NUMBER" if is_number else f" {action.option_strings[0].strip('-').upper()}"
        yield f"`{name}`", _code(action.help or "")


def _code(text: str) -> str:
    """Marks what a person types, so that Markdown leaves quotes and stars alone."""
    return re.sub(r'\b([A-Z]+=(?:"[^"]*"|[^\s),;:]+))', r"`\1`", text) if "`" not in text else text
