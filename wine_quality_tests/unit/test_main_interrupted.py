"""``python -m wine_quality``, interrupted."""

from __future__ import annotations

import os
import subprocess
import sys

from wine_quality.paths import PROJECT_ROOT


def test_an_interrupt_that_c_has_seen_ends_with_its_code(tmp_path):
    """As one that comes in some imports is seen; else Python ends by the signal."""
    (tmp_path / "interrupted.py").write_text(
        "import ctypes\n"
        "from wine_quality import __main__\n"
        "def main():\n"
        "    ctypes.pythonapi.PyRun_SimpleString(b'raise KeyboardInterrupt')\n"
        "    return 130\n"
        "__main__.main = main\n"
        "__main__.command()\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(PROJECT_ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "interrupted"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 130
