"""Memory of a process. Standard library only."""

from __future__ import annotations

from pathlib import Path


def proportional_memory(pid: int) -> int:
    """Bytes of a process, what it shares with others divided among them (PSS).

    Zero when it has ended, or is another user's.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
