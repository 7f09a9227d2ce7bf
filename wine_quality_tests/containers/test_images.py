"""The images: their sizes, the layers that a change of code builds anew, no secret in a layer."""

from __future__ import annotations

import pytest

from wine_quality_tests.containers.conftest import NOT_HERE
from wine_quality_tests.support import images
from wine_quality_tests.support.canaries import MARK
from wine_quality_tests.support.compose import engine
from wine_quality_tests.support.images import DAGSTER, MLFLOW, PROXY

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE),
]

MEGABYTES = {DAGSTER: 2000, PROXY: 100, **dict.fromkeys(MLFLOW.values(), 700)}
"""At most, on top of the base image."""


@pytest.mark.parametrize("image", MEGABYTES, ids=lambda image: image.tag.partition("/")[2])
def test_images_are_small(built, see, image):
    name = engine()
    base = images.size(name, image.base()[1])
    own = (images.size(name, image.tag) - base) / 1e6
    took = f"built in {built[image]:.0f} s" if image in built else "built before"
    see(f"{image.tag.partition('/')[2]}", f"{own:.0f} MB on {base / 1e6:.0f} MB; {took}")
    assert own <= MEGABYTES[image]


def test_no_secret_is_in_a_layer(built, see):
    found = [image.tag for image in built if images.is_in_a_layer(engine(), image.tag, MARK)]
    see("secrets in the layers and the history of images", f"none in {len(built)} images")
    assert found == []


def test_a_change_of_code_builds_no_environment_anew(built, see, checkout):
    changed = checkout / "wine_quality" / "definitions.py"
    before = changed.read_text()
    tag = f"{DAGSTER.tag.rpartition(':')[0]}:changed"
    changed.write_text(f"{before}# changed\n")
    try:
        seconds = images.build(engine(), DAGSTER, checkout, tag)
    finally:
        changed.write_text(before)
    new = set(images.layers(engine(), tag)) - set(images.layers(engine(), DAGSTER.tag))
    see("Dagster's image after a change of code", f"{len(new)} layers built in {seconds:.0f} s")
    # The code, and what was compiled of it.
    assert len(new) <= 2
