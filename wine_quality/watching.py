"""``new_wine_data_sensor``: trains on each file that arrives in a watched place, once."""

import datetime
import os
import time

from dagster import (
    ConfigurableResource,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from pydantic import Field

from wine_quality.data.arrivals import Arrival, list_arrivals
from wine_quality.data.seen import Seen
from wine_quality.data.transfer import SourceLimits, redact_url
from wine_quality.environments.versions import default_version
from wine_quality.jobs import wine_quality_model
from wine_quality.tracking.resource import VersionKey

SOURCE_TAG = "wine_quality/source"
SOURCE_VERSION_TAG = "wine_quality/source_version"
ARRIVED_TAG = "wine_quality/arrived"
_UNFINISHED = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]
_NAME = "new_wine_data_sensor"


def _number(variable: str, default: float) -> float:
    return float(os.environ.get(variable) or default)


class WatchedPlace(ConfigurableResource):
    """What ``new_wine_data_sensor`` watches, and how it trains on what arrives.

    The defaults come from ``WINE_QUALITY_WATCH`` and the variables named in each field.
    """

    place: str = Field(
        default_factory=lambda: os.environ.get("WINE_QUALITY_WATCH", ""),
        description="A folder, s3://bucket/prefix or one https:// URL ($WINE_QUALITY_WATCH). "
        "Empty: nothing is watched.",
    )
    suffix: str = Field(default=".csv", description="Only names that end so are data.")
    settle_seconds: float = Field(
        default_factory=lambda: _number("WINE_QUALITY_WATCH_SETTLE_SECONDS", 10),
        ge=0,
        description="A file in a folder counts as whole when it was left alone for so long.",
    )
    max_runs_per_tick: int = Field(default=5, ge=1, description="New runs of one tick.")
    max_unfinished_runs: int = Field(
        default=20, ge=1, description="With so many of its runs queued or running, it waits."
    )
    listing_seconds: float = Field(
        default=30.0, gt=0, le=50, description="A listing that takes longer fails the tick."
    )
    mlflow_version: VersionKey = Field(
        default_factory=lambda: VersionKey(default_version()),
        description="MLflow version of the runs ($WINE_QUALITY_MLFLOW).",
    )
    alpha: float = Field(
        default_factory=lambda: _number("WINE_QUALITY_ALPHA", 0.5),
        description="Hyperparameter of the runs ($WINE_QUALITY_ALPHA).",
    )
    l1_ratio: float = Field(
        default_factory=lambda: _number("WINE_QUALITY_L1_RATIO", 0.5),
        description="Hyperparameter of the runs ($WINE_QUALITY_L1_RATIO).",
    )

    def whole_arrivals(self, now: float) -> tuple[list[Arrival], list[Arrival]]:
        """Files that are whole, and files that may still be written.

        Raises:
            SourceError: the place cannot be listed.
        """
        limits = SourceLimits(
            timeout_seconds=min(10.0, self.listing_seconds), total_seconds=self.listing_seconds
        )
        found = list_arrivals(self.place, self.suffix, limits)
        if "://" in self.place and not self.place.startswith("file:"):
            return found, []  # S3 and web servers show a file when it is whole
        newest = now - self.settle_seconds
        # A time in the future is a clock that is wrong, not a file that is being written.
        whole = [a for a in found if a.arrived <= newest or a.arrived > now + 60]
        settled = {a.fingerprint for a in whole}
        return whole, [a for a in found if a.fingerprint not in settled]

    def run_request(self, arrival: Arrival) -> RunRequest:
        """The run that trains on it; its key is the same however often it is asked for."""
        when = datetime.datetime.fromtimestamp(arrival.arrived, datetime.timezone.utc)
        return RunRequest(
            run_key=arrival.fingerprint,
            run_config={
                "ops": {"raw_wine_csv": {"config": {"csv_url": arrival.url}}},
                "resources": {
                    "hyperparameters": {"config": {"alpha": self.alpha, "l1_ratio": self.l1_ratio}},
                    "mlflow": {"config": {"version": self.mlflow_version.value}},
                },
            },
            tags={
                SOURCE_TAG: redact_url(arrival.url),
                SOURCE_VERSION_TAG: arrival.version,
                ARRIVED_TAG: when.isoformat(timespec="seconds"),
            },
        )


@sensor(
    name=_NAME,
    job=wine_quality_model,
    minimum_interval_seconds=int(_number("WINE_QUALITY_WATCH_SECONDS", 30)),
    default_status=(
        DefaultSensorStatus.RUNNING
        if os.environ.get("WINE_QUALITY_WATCH")
        else DefaultSensorStatus.STOPPED
    ),
)
def new_wine_data_sensor(
    context: SensorEvaluationContext, wine_data_watch: WatchedPlace
) -> SensorResult | SkipReason:
    """Requests one run of wine_quality_model for each new or changed file of the watched place.

    A file is trained on once, however often this ticks or is interrupted: the cursor says what was
    handled, and the run key keeps a tick that is repeated from launching again.
    """
    watch = wine_data_watch
    if not watch.place:
        return SkipReason(
            "Nothing is watched. Set WINE_QUALITY_WATCH to a folder, s3://bucket/prefix or URL."
        )
    seen = _seen(context)
    whole, unfinished = watch.whole_arrivals(time.time())
    new = seen.unseen(whole)
    shown = redact_url(watch.place)
    if not new:
        waiting = f"; {len(unfinished)} may still be written" if unfinished else ""
        return SkipReason(f"Nothing new among {len(whole)} file(s) in {shown}{waiting}.")
    room = watch.max_unfinished_runs - context.instance.get_runs_count(
        RunsFilter(tags={"dagster/sensor_name": _NAME}, statuses=_UNFINISHED)
    )
    batch = new[: max(0, min(room, watch.max_runs_per_tick))]
    if not batch:
        return SkipReason(
            f"{len(new)} new file(s) in {shown} wait: {watch.max_unfinished_runs} runs of this "
            "sensor are queued or running already."
        )
    left = [*new[len(batch) :], *unfinished]
    if left:
        context.log.info(f"{len(left)} more file(s) are left for later ticks.")
    return SensorResult(
        run_requests=[watch.run_request(arrival) for arrival in batch],
        cursor=seen.handled(batch, left).to_cursor(),
    )


def _seen(context: SensorEvaluationContext) -> Seen:
    try:
        return Seen.from_cursor(context.cursor)
    except ValueError as error:
        # The run keys keep what was trained on from being trained on again.
        context.log.warning(f"{error}. Starting from the beginning.")
        return Seen()
