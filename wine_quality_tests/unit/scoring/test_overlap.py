"""Reading ahead and writing behind: order, errors, and an early end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from wine_quality.scoring.overlap import WriteBehind, cores_for_both, read_ahead


def test_items_come_in_their_order_and_the_next_is_read_meanwhile():
    read, second = [], threading.Event()

    def numbers() -> Iterator[int]:
        for number in range(3):
            read.append(number)
            if number == 1:
                second.set()
            yield number

    items = read_ahead(numbers())
    assert next(items) == 0
    assert second.wait(10)
    assert list(items) == [1, 2] and read == [0, 1, 2]
    assert list(read_ahead(iter([]))) == []


def test_an_error_comes_where_it_was_raised():
    def numbers() -> Iterator[int]:
        yield 1
        raise ValueError("a damaged file")

    items = read_ahead(numbers())
    assert next(items) == 1
    with pytest.raises(ValueError, match="a damaged file"):
        next(items)


def test_whoever_stops_early_leaves_no_thread():
    items = read_ahead(iter(range(10)))
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]
    assert not [one for one in threading.enumerate() if one.name.startswith("read-ahead")]


def test_calls_are_made_in_their_order_and_an_error_comes_with_the_next():
    written: list[int] = []

    def fails() -> None:
        raise OSError("no space left")

    with WriteBehind() as writing:
        for number in range(3):
            writing.call(written.append, number)
        writing.wait()
        assert written == [0, 1, 2]
        writing.call(fails)
        with pytest.raises(OSError, match="no space left"):
            writing.call(written.append, 3)
    assert written == [0, 1, 2]


def test_leaving_waits_for_the_last_call():
    go_on, written = threading.Event(), []

    def slow() -> None:
        assert go_on.wait(10)
        written.append(1)

    with pytest.raises(KeyError), WriteBehind() as writing:
        writing.call(slow)
        go_on.set()
        raise KeyError
    assert written == [1]


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 2)])
def test_blas_leaves_a_core_to_the_reader_and_one_to_the_writer(cores, threads, monkeypatch):
    import numpy as np
    from threadpoolctl import threadpool_info, threadpool_limits

    def of_blas() -> set[int]:
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    assert np.ones((2, 2)).sum() == 4  # NumPy's BLAS is loaded
    monkeypatch.setattr("os.sched_getaffinity", lambda _process: set(range(cores)))
    with threadpool_limits(3, user_api="blas"):
        before = of_blas()
        with cores_for_both():
            assert of_blas() == {threads}
        assert of_blas() == before
