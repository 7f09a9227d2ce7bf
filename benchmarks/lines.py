"""Lines of Python by package: files, all, code, docstrings and comments, blank.

``python -m benchmarks.lines [folder]``, by default of ``wine_quality``.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter, defaultdict
from pathlib import Path

from wine_quality.paths import PROJECT_ROOT

COLUMNS = ("files", "lines", "code", "text", "blank")


def count(text: str) -> Counter[str]:
    """The lines of one module, by kind."""
    lines = text.splitlines()
    blank = {number for number, line in enumerate(lines, 1) if not line.strip()}
    described = set()
    for node in ast.walk(ast.parse(text)):
        # Docstrings, and those below a constant or a field.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            described |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and lines[token.start[0] - 1].lstrip().startswith("#"):
            described.add(token.start[0])
    described -= blank
    code = len(lines) - len(described) - len(blank)
    return Counter(files=1, lines=len(lines), code=code, text=len(described), blank=len(blank))


def main(folder: Path) -> None:
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for file in sorted(folder.rglob("*.py")):
        package = file.relative_to(folder).parts[0] if file.parent != folder else "(root)"
        for name in (package, "total"):
            found[name] += count(file.read_text())
    total = found.pop("total")
    print(f"{'':18}{''.join(f'{name:>8}' for name in COLUMNS)}")
    for name, numbers in [*sorted(found.items()), ("total", total)]:
        print(f"{name:18}{''.join(f'{numbers[column]:8}' for column in COLUMNS)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT_ROOT / "wine_quality")
