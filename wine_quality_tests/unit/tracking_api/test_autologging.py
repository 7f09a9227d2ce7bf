"""Autologging that is switched on for a step is as before after it."""

from __future__ import annotations

import pytest

from wine_quality.tracking_api.autologging import Autolog, autologging


@pytest.mark.parametrize("choice", list(Autolog))
def test_settings_are_undone_also_on_failure(choice):
    import mlflow.sklearn
    from mlflow.utils.autologging_utils import autologging_is_disabled, get_autologging_config

    mlflow.sklearn.autolog(max_tuning_runs=7, silent=True)
    try:
        with pytest.raises(RuntimeError), autologging(choice):
            assert not autologging_is_disabled("sklearn")
            mlflow.sklearn.autolog(max_tuning_runs=2, silent=True)  # as an asset may
            raise RuntimeError
        assert not autologging_is_disabled("sklearn")
        assert get_autologging_config("sklearn", "max_tuning_runs") == 7
    finally:
        mlflow.sklearn.autolog(disable=True)
    with autologging(choice):
        assert autologging_is_disabled("sklearn") is (choice is Autolog.off)
    assert autologging_is_disabled("sklearn")
