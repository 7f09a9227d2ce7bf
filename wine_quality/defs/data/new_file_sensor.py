"""``new_wine_data_sensor``: trains on each file that arrives in a watched place, once."""

import os
import time
from typing import Any, NamedTuple

from dagster import (
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)
from pydantic import BaseModel, Field, ValidationError, field_validator

from wine_quality.datasets.accumulate import ConflictPolicy, TrainingData
from wine_quality.defs.data.arrival_tags import tags_of
from wine_quality.defs.jobs import wine_quality_model
from wine_quality.engines.choice import EngineChoice
from wine_quality.environments.mlflow_versions import default_version, get_version
from wine_quality.settings.setting import WATCH
from wine_quality.sources.arrivals import Arrival, SkippedFiles, list_since
from wine_quality.sources.seen import Seen
from wine_quality.sources.transfer import SourceError, SourceLimits, redact_url, split_url

_UNFINISHED = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
]
_NAME = "new_wine_data_sensor"
_PREFIX = f"{WATCH}_"


class ArrivedFiles(NamedTuple):
    """Result of a tick's look at the place: files that are whole, those that may still be written,
    the number of all whole ones, and files that are left alone, with the reason."""

    whole: list[Arrival]
    unfinished: list[Arrival]
    files: int
    skipped: tuple[SkippedFiles, ...] = ()


class WatchedSource(BaseModel):
    """The place that ``new_wine_data_sensor`` watches, and the config of the runs that it requests.

    ``from_environment`` takes each field from ``WINE_QUALITY_WATCH_<FIELD>``, such as
    ``WINE_QUALITY_WATCH_PLACE``; what is not set there is the default here.
    """

    place: str = Field(
        "",
        description="A folder, s3://bucket/prefix or one https:// URL. Empty: nothing is watched.",
    )
    suffix: str = Field(
        ".csv",
        description="Endings of the file names to train on, in upper or lower case, with commas "
        "between them, such as .csv,.csv.gz.",
    )
    interval_seconds: int = Field(
        30, ge=1, le=86400 * 31, description="Seconds between two ticks, at least."
    )
    settle_seconds: float = Field(
        10.0,
        ge=0,
        le=86400 * 31,
        description="A file in a folder is complete when it has not changed for so many seconds.",
    )
    max_runs_per_tick: int = Field(5, ge=1, description="Most runs that one tick requests.")
    max_unfinished_runs: int = Field(
        20, ge=1, description="With so many of its runs queued or running, the sensor waits."
    )
    listing_seconds: float = Field(
        30.0, gt=0, le=50, description="Seconds after which a listing of the place fails the tick."
    )
    mlflow_version: str = Field(
        default_factory=default_version, description="MLflow version of the runs."
    )
    alpha: float = Field(0.5, ge=0, allow_inf_nan=False, description="Hyperparameter of the runs.")
    l1_ratio: float = Field(0.5, ge=0, le=1, description="Hyperparameter of the runs.")
    training_data: TrainingData = Field(
        TrainingData.newest,
        description="newest: runs train on the file that arrived; accumulated: on all accepted so "
        "far.",
    )
    conflicts: ConflictPolicy = Field(
        ConflictPolicy.newest,
        description="Which rows count when files disagree, as raw_wine_csv's field of this name.",
    )
    training_engine: EngineChoice = Field(
        EngineChoice.in_memory,
        description="What reads the wines; duckdb and spark read Parquet too (suffix .parquet), "
        "and a run on accumulated data then reads only the file that arrived.",
    )

    @field_validator("mlflow_version")
    @classmethod
    def _known(cls, key: str) -> str:
        return get_version(key).key

    @field_validator("place")
    @classmethod
    def _usable(cls, place: str) -> str:
        try:
            split_url(place)
        except SourceError as error:
            raise ValueError(str(error)) from error
        return place

    @classmethod
    def from_environment(cls) -> "WatchedSource":
        """From the variables, ``WINE_QUALITY_WATCH_<FIELD>``.

        Raises:
            ValueError: names the variable that cannot be used, and why.
        """
        given = {name: os.environ.get(f"{_PREFIX}{name.upper()}") for name in cls.model_fields}
        try:
            return cls.model_validate({name: _text(text) for name, text in given.items() if text})
        except ValidationError as error:
            problems = [
                f"{_PREFIX}{str(problem['loc'][0]).upper()} is "
                f"{redact_url(str(problem['input']))[:80]!r}: "
                f"{problem['msg'][:300]}"
                for problem in error.errors()
            ]
            raise ValueError("; ".join(problems)) from None

    def whole_arrivals(self, now: float, since: float = 0.0) -> ArrivedFiles:
        """Files that arrived since then.

        Raises:
            SourceError: the place cannot be listed.
        """
        limits = SourceLimits(
            timeout_seconds=min(10.0, self.listing_seconds),
            total_seconds=self.listing_seconds,
            total_setting=f"{_PREFIX}LISTING_SECONDS",
            url_setting=f"{_PREFIX}PLACE",
        )
        found = list_since(self.place, self.suffix, limits, since)
        if "://" in self.place and not self.place.startswith("file:"):
            # S3 and web servers show a file when it is whole.
            return ArrivedFiles(found.arrivals, [], found.files, found.skipped)
        newest = now - self.settle_seconds
        whole: list[Arrival] = []
        unfinished: list[Arrival] = []
        for arrival in found.arrivals:
            # A time in the future is a clock that is wrong, not a file that is being written.
            settled = arrival.arrived <= newest or arrival.arrived > now + 60
            (whole if settled else unfinished).append(arrival)
        return ArrivedFiles(whole, unfinished, found.files - len(unfinished), found.skipped)

    def run_request(self, arrival: Arrival) -> RunRequest:
        """The run that trains on it; its key is the same however often it is asked for."""
        return RunRequest(
            run_key=arrival.fingerprint,
            run_config=self.run_config(self.training_data, csv_url=arrival.url),
            tags=tags_of(arrival),
        )

    def run_config(self, training_data: TrainingData, **source: str) -> dict[str, Any]:
        """As this place's runs train; ``source`` are more fields of ``raw_wine_csv``."""
        data = {
            **source,
            "training_data": training_data.value,
            "conflicts": self.conflicts.value,
        }
        engine = {}
        if self.training_engine != EngineChoice.in_memory:
            engine = {"training_engine": {"config": {"engine": self.training_engine.value}}}
        return {
            "ops": {"raw_wine_csv": {"config": data}},
            "resources": {
                **engine,
                "hyperparameters": {"config": {"alpha": self.alpha, "l1_ratio": self.l1_ratio}},
                "mlflow": {"config": {"version": self.mlflow_version}},
            },
        }


def _text(value: str) -> str:
    """A variable may hold any bytes, which neither pydantic nor a log can write down."""
    return value.encode(errors="backslashreplace").decode()


def watching_sensor(watch: WatchedSource) -> SensorDefinition:
    """``new_wine_data_sensor`` over a place; it runs by default when there is one."""

    @sensor(
        name=_NAME,
        job=wine_quality_model,
        minimum_interval_seconds=watch.interval_seconds,
        default_status=(
            DefaultSensorStatus.RUNNING if watch.place else DefaultSensorStatus.STOPPED
        ),
        description="Requests one run of wine_quality_model for each new or changed file in "
        f"{redact_url(watch.place) or 'no place yet: set ' + _PREFIX + 'PLACE'}.",
    )
    def new_wine_data_sensor(context: SensorEvaluationContext) -> SensorResult | SkipReason:
        return tick(context, watch)

    return new_wine_data_sensor


def tick(context: SensorEvaluationContext, watch: WatchedSource) -> SensorResult | SkipReason:
    """One look at the place.

    A file is trained on once, however often this is called or interrupted: the cursor holds what
    was handled, and the run key keeps a tick that is repeated from launching again.
    """
    if not watch.place:
        return SkipReason(
            f"Nothing is watched. Set {_PREFIX}PLACE to a folder, s3://bucket/prefix or URL."
        )
    now = time.time()
    seen = _seen(context, now)
    whole, unfinished, files, skipped = watch.whole_arrivals(now, seen.mark[0])
    new = seen.unseen(whole)
    shown = redact_url(watch.place)
    if not new:
        waiting = f"; {len(unfinished)} may still be written" if unfinished else ""
        left_alone = "; ".join(map(str, skipped))
        left_alone = f". Skipped: {left_alone}" if left_alone else ""
        return SkipReason(f"Nothing new among {files} file(s) in {shown}{waiting}{left_alone}.")
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
        cursor=seen.handled(batch, left, now).to_cursor(),
    )


def _seen(context: SensorEvaluationContext, now: float) -> Seen:
    try:
        seen = Seen.from_cursor(context.cursor)
        if seen.mark[0] > now:
            # A clock was wrong; files that arrive until then would not be seen.
            raise ValueError(f"the cursor is of the future: {context.cursor!r:.80}")
    except ValueError as error:
        # The run keys keep what was trained on from being trained on again.
        context.log.warning(f"{error}. Starting from the beginning.")
        return Seen()
    return seen


SENSOR = watching_sensor(WatchedSource.from_environment())
