"""Text from outside as it may be shown (in logs, errors, metadata, notices and on terminals), and
the base of the project's errors.

A file name may hold a newline, which forges a line of a log, or an escape sequence, which a
terminal obeys. The characters are shown, not dropped: people need the name to find the file.
"""

from __future__ import annotations

_KEPT_IN_LINES = "\n\t"


def escaped(text: object) -> str:
    """The text in one line of printable characters, all others as ``\\n``, ``\\x1b``, ``\\u202e``.

    Text without such characters stays as it is, so doing it twice changes nothing more.
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(one if one.isprintable() else _code(one) for one in plain)


def escaped_lines(text: object) -> str:
    """As ``escaped``, with line breaks and tabs kept: for text of several lines, such as
    a traceback."""
    plain = str(text)
    return "".join(
        one if one.isprintable() or one in _KEPT_IN_LINES else _code(one) for one in plain
    )


def _code(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte of a file name that is not UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "backslashreplace").decode()


class ProjectError(Exception):
    """Base of every error that the project raises itself."""


class ShownError(ProjectError):
    """Base of errors whose message quotes text from outside: it is escaped, line breaks too."""

    def __init__(self, message: object = "") -> None:
        super().__init__(escaped(message))
