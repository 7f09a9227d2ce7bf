"""New data takes the place of the old; a kill at any rename loses neither."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from wine_quality.stack.renewed import fresh_place, left_overs, put_in_place, settle


@pytest.fixture
def place(tmp_path):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    place = tmp_path / "data"
    for folder, content in ((place, "old"), (fresh_place(place), "new")):
        folder.mkdir()
        (folder / "content").write_text(content)
    yield place
    for number, handler in before.items():
        signal.signal(number, handler)


def contents(folder: Path) -> list[str]:
    return sorted(path.read_text() for path in folder.glob("*/content"))


def test_the_old_one_is_kept_under_another_name(place):
    kept = put_in_place(place, "15")
    assert (place / "content").read_text() == "new"
    assert (kept / "content").read_text() == "old" and kept.name.startswith("data-of-15-")
    assert left_overs(place) == []


@pytest.mark.parametrize(("renames", "then"), [(0, "old"), (1, "old"), (2, "new"), (3, "new")])
def test_a_kill_between_two_renames_loses_nothing(place, monkeypatch, renames, then):
    rename, left = Path.rename, [None] * renames

    def killed(path: Path, target: Path) -> Path:
        if not left:
            raise SystemExit
        left.pop()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", killed)
    if renames < 3:
        with pytest.raises(SystemExit):
            put_in_place(place, "15")
    else:
        put_in_place(place, "15")
    monkeypatch.undo()
    settle(place)
    assert (place / "content").read_text() == then
    assert contents(place.parent) == ["new", "old"]
    settle(place)
    assert bool(left_overs(place)) == (then == "old")
