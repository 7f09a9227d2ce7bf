"""Files that environments have in common, stored once, with what Python makes of them."""

from __future__ import annotations

import compileall
import subprocess
import sys
from pathlib import Path

from wine_quality.environments.share_files import share_files

VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
SAME = "def where():\n    raise ValueError('same')\n"


def environment(folder: Path, own: str) -> Path:
    packages = folder / "lib" / VERSION / "site-packages"
    (packages / "package").mkdir(parents=True)
    (packages / "package" / "__init__.py").write_text("")
    (packages / "package" / "same.py").write_text(SAME)
    (packages / "package" / "own.py").write_text(f"NAME = {own!r}\n")
    (packages / "script.sh").write_text("echo\n")
    (packages / "link.py").symlink_to("script.sh")
    compileall.compile_dir(packages, quiet=2)
    return packages / "package"


def compiled(package: Path, name: str) -> Path:
    return next((package / "__pycache__").glob(f"{name}.*.pyc"))


def test_equal_files_are_one_and_others_are_not(tmp_path):
    folders = [tmp_path / name for name in ("one", "two", "three")]
    packages = [environment(folder, own) for folder, own in zip(folders, "aab", strict=True)]
    (packages[1].parent / "script.sh").chmod(0o755)
    saved = share_files(folders)
    one, two, three = packages
    for name in ("same.py", "__init__.py"):
        assert (one / name).samefile(two / name) and (one / name).samefile(three / name)
    assert compiled(one, "same").samefile(compiled(three, "same"))
    assert (one / "own.py").samefile(two / "own.py") and not (one / "own.py").samefile(
        three / "own.py"
    )
    assert not compiled(one, "own").samefile(compiled(three, "own"))
    assert (three / "own.py").read_text() == "NAME = 'b'\n"
    # Another mode is another file.
    assert not (one.parent / "script.sh").samefile(two.parent / "script.sh")
    assert (two.parent / "link.py").is_symlink()
    assert saved > 2 * len(SAME)
    assert share_files(folders) == 0


def test_python_takes_what_another_environment_compiled_and_names_its_own_file(tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    packages = [environment(folder, "a") for folder in folders]
    share_files(folders)
    code = "from package import same; print(same.where.__code__.co_filename)"
    done = subprocess.run(
        [sys.executable, "-v", "-c", code],
        env={"PYTHONPATH": str(packages[1].parent), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.strip() == str(packages[1] / "same.py")
    assert f"code object from '{compiled(packages[1], 'same')}'" in done.stderr
