"""Every command in the documentation exists, and takes the options that it is given.

Those that run here are run too: ``integration/test_docs_commands.py``.
"""

from __future__ import annotations

import argparse
import re
import shlex

import pytest

from wine_quality.__main__ import parser
from wine_quality_tests.support.docs_commands import (
    DocsCommand,
    commands_in_text,
    commands_of_blocks,
)
from wine_quality_tests.support.makefile import dry_make

# What a reader puts in their own word for.
BLANK = re.compile(r"…|<\w+>")
EXAMPLES_OF_REFUSAL = ("make run PORT=5005",)
VARIABLE = re.compile(r"([A-Z_]+)=(.*)", re.DOTALL)


def commands() -> list[DocsCommand]:
    found = {(one.page, one.text): one for one in commands_of_blocks() + commands_in_text()}
    return [
        one
        for one in found.values()
        if {"make", "wine-quality"} & set(one.words) and one.text not in EXAMPLES_OF_REFUSAL
    ]


def test_there_are_commands():
    assert len(commands()) > 100
    assert {one.page for one in commands()} > {"README.md", "docs/tutorial.md"}


@pytest.mark.parametrize("command", commands(), ids=lambda one: f"{one.page}: {one.text[:60]}")
def test_a_command_exists_and_takes_its_options(command):
    words = [word for word in command.words if not word.startswith("WINE_QUALITY_")]
    if words[0] == "wine-quality":
        check_options(words[1:])
        return
    assert words[0] == "make"
    if words[1:] == ["…"]:
        return
    done = dry_make(*words[1:])
    assert done.returncode == 0, done.stderr
    given = dict(match.groups() for word in words if (match := VARIABLE.fullmatch(word)))
    for line in done.stdout.splitlines() if "ARGS" in given else []:
        _, at, options = line.partition(" -m wine_quality ")
        if at:
            check_options(shlex.split(options))


def check_options(words: list[str]) -> None:
    """As far as a blank: what stands for it is the reader's."""
    blanks = [at for at, word in enumerate(words) if BLANK.search(word)]
    if blanks:
        words = [word for word in words if not BLANK.search(word)]
    known = parser()
    known.error = _refuse  # type: ignore[method-assign]
    for actions in known._actions:
        if isinstance(actions, argparse._SubParsersAction):
            for command in actions.choices.values():
                command.error = _refuse  # type: ignore[method-assign]
    try:
        known.parse_args(words)
    except ValueError as error:
        if not blanks or "expected one argument" not in str(error):
            raise


def _refuse(message: str) -> None:
    raise ValueError(message)
