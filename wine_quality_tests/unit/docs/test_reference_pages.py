"""The pages made from the code are as the code is now."""

from __future__ import annotations

import pytest

from wine_quality_tests.support import reference_pages as pages


@pytest.mark.parametrize("file", pages.PAGES, ids=lambda file: file.stem)
def test_a_page_is_up_to_date(file):
    """Else: ``make reference``."""
    assert file.read_text() == pages.PAGES[file]()


def test_every_variable_of_the_code_is_on_it():
    page = pages.page()
    listed = {name for name in pages.names_in_code() if f"| `WINE_QUALITY_{name}` |" in page}
    prefixes = {"WATCH", "NOTIFY", "SERVE", "ALLOWED", "MLFLOW_URI", "DATA", "ASSETS"}
    assert pages.names_in_code() - listed - pages.INTERNAL - prefixes == set()
