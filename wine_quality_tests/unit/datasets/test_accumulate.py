"""Merging files: what is delivered twice counts once, and contradictions are settled as asked."""

from __future__ import annotations

import random
from collections import Counter
from functools import lru_cache
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wine_quality.datasets.accumulate import ConflictPolicy, accumulate
from wine_quality.datasets.contract import COLUMNS, FEATURES, conform
from wine_quality.datasets.parse import parse_wine_csv
from wine_quality.paths import PACKAGED_RED_WINE

KEEP, DROP, NEWEST = ConflictPolicy.keep, ConflictPolicy.drop, ConflictPolicy.newest
WHITE_WINE = Path(__file__).parents[2] / "data" / "winequality-white.csv"

# A file as (wine, quality); few of each, so that files repeat and contradict one another.
FILE = st.lists(st.tuples(st.integers(0, 5), st.integers(3, 5)), min_size=1, max_size=12)
FILES = st.lists(FILE, min_size=1, max_size=5)
quickly = settings(max_examples=40, deadline=None, derandomize=True)


def frame_of(file: list[tuple[int, int]]) -> pd.DataFrame:
    rows = [[wine / 3 + place for place in range(len(FEATURES))] + [q] for wine, q in file]
    return conform(pd.DataFrame(rows, columns=list(COLUMNS)))


def counted(frame: pd.DataFrame) -> Counter:
    """The rows as a multiset."""
    return Counter(frame.itertuples(index=False, name=None))


def merged(files: list[list[tuple[int, int]]], policy: ConflictPolicy) -> Counter:
    return counted(accumulate([frame_of(file) for file in files], policy)[0])


@lru_cache
def wines(path: Path) -> pd.DataFrame:
    return conform(parse_wine_csv(path.read_bytes(), path.name))


@pytest.mark.parametrize("policy", ConflictPolicy)
@quickly
@given(file=FILE)
def test_one_file_stays_as_it_is(policy, file):
    frame = frame_of(file)
    result, [share] = accumulate([frame], policy)
    pd.testing.assert_frame_equal(result, frame, check_exact=True)
    assert (share.rows, share.duplicates, share.conflicting) == (len(file), 0, 0)
    assert share.used == share.new == len(file)


@pytest.mark.parametrize("policy", [KEEP, DROP])
@quickly
@given(files=FILES, seed=st.integers())
def test_the_order_of_arrival_does_not_matter(policy, files, seed):
    shuffled = list(files)
    random.Random(seed).shuffle(shuffled)
    assert merged(files, policy) == merged(shuffled, policy)


@quickly
@given(files=FILES, which=st.integers(0), when=st.integers(0))
def test_a_second_delivery_changes_nothing(files, which, when):
    file, place = files[which % len(files)], when % (len(files) + 1)
    again = [*files[:place], file, *files[place:]]
    assert merged(again, KEEP) == merged(files, KEEP)
    assert merged(again, DROP) == merged(files, DROP)
    # Under `newest` one that comes again late decides again; the newest itself changes nothing.
    assert merged([*files, files[-1]], NEWEST) == merged(files, NEWEST)


@quickly
@given(files=FILES)
def test_the_policies_as_plain_python_says(files):
    """The definitions, row by row and without pandas."""
    most: Counter = Counter()
    for file in files:
        for row, count in Counter(file).items():
            most[row] = max(most[row], count)
    named = [{wine: {q for w, q in file if w == wine} for wine, _ in file} for file in files]
    for policy in ConflictPolicy:
        expected: Counter = Counter()
        conflicting = 0
        for (wine, quality), count in most.items():
            text = [names[wine] for names in named if wine in names]
            conflict = any(one != text[0] for one in text)
            conflicting += count * conflict
            if policy == KEEP or not conflict or (policy == NEWEST and quality in text[-1]):
                expected[(wine, quality)] = count
        result, shares = accumulate([frame_of(file) for file in files], policy)
        assert counted(result) == counted(frame_of(list(expected.elements())))
        assert sum(share.conflicting for share in shares) == conflicting
        assert [share.rows for share in shares] == [len(file) for file in files]
        assert sum(share.new for share in shares) == sum(most.values())
        assert sum(share.used for share in shares) == len(result)


def test_rows_keep_the_order_in_which_they_came():
    first, second = [(1, 3), (2, 3), (1, 3)], [(2, 3), (0, 4), (1, 3), (1, 3), (1, 3)]
    result, shares = accumulate([frame_of(first), frame_of(second)], NEWEST)
    expected = frame_of([(1, 3), (2, 3), (1, 3), (0, 4), (1, 3)])
    pd.testing.assert_frame_equal(result, expected, check_exact=True)
    assert [(share.new, share.duplicates) for share in shares] == [(3, 0), (2, 3)]


# No wine that the file repeats lies on both sides of these.
@pytest.mark.parametrize("cuts", [[800], [50, 300, 800, 1300], [250, 900]])
def test_slices_of_red_are_red_again(cuts):
    red = wines(PACKAGED_RED_WINE)
    edges = [0, *cuts, len(red)]
    slices = [red[start:end] for start, end in zip(edges, edges[1:], strict=False)]
    result, shares = accumulate(slices, NEWEST)
    pd.testing.assert_frame_equal(result, red, check_exact=True)
    assert sum(share.duplicates for share in shares) == 0
    overlapping = [red[max(0, start - 100) : end] for start, end in zip(edges, edges[1:])]  # noqa: B905
    result, shares = accumulate(overlapping, NEWEST)
    pd.testing.assert_frame_equal(result, red, check_exact=True)
    assert sum(share.rows - share.new for share in shares) >= 50 * len(cuts)
    shuffled = list(slices)
    random.Random(3).shuffle(shuffled)
    assert counted(accumulate(shuffled, KEEP)[0]) == counted(red)


def test_red_and_white_contradict_each_other_nowhere():
    red, white = wines(PACKAGED_RED_WINE), wines(WHITE_WINE)
    result, shares = accumulate([red, white], NEWEST)
    assert [share.rows for share in shares] == [1599, 4898]
    assert [share.conflicting for share in shares] == [0, 0]
    shared = set(counted(red)) & set(counted(white))
    assert len(result) == 1599 + 4898 - shares[1].duplicates
    assert shares[1].duplicates == sum(
        min(counted(red)[row], counted(white)[row]) for row in shared
    )
