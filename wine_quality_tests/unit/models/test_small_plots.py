"""Plots of less than 1000 characters, which Dagster's page of an asset shows without a click."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from urllib.parse import unquote

import numpy as np
import pytest

from wine_quality.datasets.contract import FEATURES
from wine_quality.models import small_plots
from wine_quality.models.elastic_net.fit import LinearModel

GENERATOR = np.random.default_rng(1)
ACTUAL = GENERATOR.integers(0, 11, 4000).astype(float)
PREDICTED = ACTUAL * 0.3 + 4 + GENERATOR.normal(0, 0.4, 4000)
MODEL = LinearModel(
    tuple(FEATURES), tuple(GENERATOR.normal(0, 3, len(FEATURES)).tolist()), intercept=5.123456789
)
LONG = [0.7 + 0.01 * n for n in range(51)]


@pytest.mark.parametrize(
    "svg",
    [
        small_plots.residuals(ACTUAL, PREDICTED),
        small_plots.residuals(ACTUAL[:1], PREDICTED[:1]),
        small_plots.predicted_against_actual(ACTUAL, PREDICTED),
        small_plots.predicted_against_actual(ACTUAL[:1], ACTUAL[:1]),
        small_plots.coefficients(MODEL),
        small_plots.line(LONG, "lowest cv_rmse at alpha 0.000123", "0.123", [50]),
        small_plots.line(LONG, "rmse of v1234", "this run", [3, 50]),
        small_plots.line([0.7], "rmse of v1", "this run", [0]),
    ],
)
def test_it_is_a_picture_that_dagster_shows_at_once(svg):
    markdown = small_plots.as_markdown("a_plot_with_a_rather_long_name", svg)
    assert len(markdown) < small_plots.LIMIT
    head, _, address = markdown.partition("(<data:image/svg+xml,")
    assert head == "![a_plot_with_a_rather_long_name]"
    assert address.endswith(">)") and not {"<", ">", "#"} & set(address[:-2])
    assert unquote(address[:-2]) == svg
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_the_histogram_is_as_high_as_there_are_wines():
    svg = small_plots.residuals(np.array([5.0, 5.0, 5.0, 8.0]), np.array([5.1, 5.1, 5.1, 5.0]))
    path = ElementTree.fromstring(svg)[0].get("d")
    heights = [94 - int(part.partition("h")[0]) for part in path.split("V")[1:-1]]
    assert sorted(heights)[-2:] == [29, 86]  # one wine and three


def test_a_picture_that_dagster_would_hide_is_refused():
    with pytest.raises(ValueError, match="characters, of 999 at most"):
        small_plots.as_markdown("long", "<svg>" + "x" * 1000 + "</svg>")
