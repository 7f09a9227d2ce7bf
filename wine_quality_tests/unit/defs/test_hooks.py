"""Dagster's hooks on assets, of which decision 2 speaks."""

from dagster import Definitions, asset, failure_hook, success_hook


def test_hooks_of_assets_run_when_all_are_materialized():
    called: list[str] = []

    @success_hook
    def ended(context):
        called.append(f"{context.op.name} succeeded")

    @failure_hook
    def failed(context):
        called.append(f"{context.op.name} failed")

    @asset(hooks={ended, failed})
    def first() -> int:
        return 1

    @asset(hooks={ended, failed})
    def second(first: int) -> None:
        raise RuntimeError("for the hook")

    materialize_all = Definitions(assets=[first, second]).resolve_implicit_global_asset_job_def()
    assert not materialize_all.execute_in_process(raise_on_error=False).success
    assert called == ["first succeeded", "second failed"]
