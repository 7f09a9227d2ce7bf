"""The metrics history without a database: addresses, passwords, statements, patience, the plot."""

from __future__ import annotations

import socket
import time
import traceback
from datetime import datetime, timedelta, timezone

import pytest

from wine_quality.metrics_history import database as connections
from wine_quality.metrics_history import table, timescale
from wine_quality.metrics_history.database import (
    MetricsDatabase,
    parse_url,
    retry_briefly,
    shown,
)
from wine_quality.metrics_history.evaluation import MetricsHistoryError
from wine_quality.metrics_history.migrate import MIGRATIONS
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality_tests.support.servers import free_port

SECRET = "s3cret%2Fword"
WORDS = "s3cret"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (f"postgresql+psycopg2://io:{SECRET}@db:5433/metrics", "db:5433/metrics"),
        (f"postgresql://io:{SECRET}@db/metrics?sslmode=require", "db/metrics"),
        (f"postgres://io:{SECRET}@[::1]:5432/metrics", "::1:5432/metrics"),
        (
            f"postgresql:///metrics?host=/run/postgresql&password={SECRET}",
            "/run/postgresql/metrics",
        ),
    ],
)
def test_a_database_is_named_without_user_and_password(text, name):
    url = parse_url(text)
    assert url.drivername == "postgresql+psycopg2"
    assert shown(url) == name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"mysql://io:{SECRET}@db/metrics", r"begins with mysql://, but .* needs PostgreSQL"),
        (f"sqlite:///{SECRET}.db", "begins with sqlite"),
        (f"io:{SECRET}@db/metrics", "is not a URL"),
        (f"postgresql://io:{SECRET}@db:port/metrics", "is not a URL"),
        (f"postgresql://io:p@{SECRET}@db/metrics", "has more than one @"),
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(text, words):
    with pytest.raises(ValueError, match=words) as refused:
        parse_url(text)
    assert "$WINE_QUALITY_METRICS_URL" in str(refused.value)
    assert WORDS not in "".join(traceback.format_exception(refused.value))


def test_a_server_that_is_not_there_is_named_at_once():
    database = MetricsDatabase(
        parse_url(f"postgresql://io:{SECRET}@127.0.0.1:{free_port()}/metrics")
    )
    with (
        pytest.raises(MetricsHistoryError, match="Connection refused") as refused,
        database.begin(),
    ):
        pass
    assert refused.value.may_pass
    assert WORDS not in str(refused.value)


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(connections, "CONNECT_SECONDS", 2)  # the least that libpq takes
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        database = MetricsDatabase(parse_url(f"postgresql://io:{SECRET}@127.0.0.1:{port}/metrics"))
        started = time.monotonic()
        with pytest.raises(MetricsHistoryError, match="timeout expired"), database.begin():
            pass
        assert time.monotonic() - started < 10


def test_patience_is_for_what_may_pass_and_ends(monkeypatch):
    monkeypatch.setattr(connections, "_PAUSES", (0.0, 0.0))
    tried: list[bool] = []

    def fail(may_pass: bool) -> None:
        tried.append(may_pass)
        raise MetricsHistoryError("no", may_pass=may_pass)

    for may_pass in (True, False):
        with pytest.raises(MetricsHistoryError):
            retry_briefly(lambda: fail(may_pass))  # noqa: B023
    assert tried == [True, True, True, False]
    monkeypatch.setattr(connections, "_LAST_TRY_SECONDS", -1.0)
    with pytest.raises(MetricsHistoryError):
        retry_briefly(lambda: fail(True))
    assert tried[4:] == [True]


def test_a_row_is_told_by_its_key_and_the_key_holds_the_time():
    from sqlalchemy.dialects import postgresql

    text = str(table.upsert().compile(dialect=postgresql.dialect()))
    assert (
        "ON CONFLICT (model_name, metric, time, run_id, model_version) DO UPDATE SET "
        "mlflow_version = excluded.mlflow_version, value = excluded.value, "
        "data_sha256 = excluded.data_sha256"
    ) in text
    # TimescaleDB refuses unique indexes without the column that it divides by.
    assert "time" in [column.name for column in table.metrics.primary_key]


def test_the_statement_for_timescaledb():
    assert timescale.hypertable_sql("public", "evaluation_metrics") == (
        "SELECT public.create_hypertable('wine_quality.evaluation_metrics', "
        "public.by_range('time', INTERVAL '90 days'), "
        "create_default_indexes => FALSE, if_not_exists => TRUE, migrate_data => TRUE)"
    )


def test_the_newest_revision_is_the_one_that_the_code_writes():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [table.HEAD]


def test_revisions_are_shipped():
    """find_packages takes folders that are packages."""
    for folder in (MIGRATIONS, MIGRATIONS / "versions"):
        assert (folder / "__init__.py").exists()


def test_without_an_address_nothing_is_kept_and_nothing_done(monkeypatch):
    from wine_quality.monitoring import trend

    monkeypatch.setenv("WINE_QUALITY_METRICS_URL", " ")
    history = MetricsHistory()
    assert not history.is_kept
    nothing = None  # any use of it fails
    assert trend.log_trend(nothing, history, "wines", "rmse", 1.0, "", print) == {}
    assert trend.keep(nothing, history, "wines", "1", {}, "", nothing) == {}


def test_the_address_comes_from_run_config_before_the_environment(monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_METRICS_URL", "postgresql://db/other")
    assert MetricsHistory().database_name == "db/other"
    assert MetricsHistory(url="postgresql://db/mine").database_name == "db/mine"


def test_the_trend_ends_with_this_run():
    from wine_quality.models.plots import to_png
    from wine_quality.models.trend import TrendPoint, metric_trend

    start = datetime(2026, 3, 1, tzinfo=timezone.utc)
    points = [
        TrendPoint(
            label=f"v{number + 1}",
            time=start + timedelta(days=number),
            value=0.7 - number / 1000,
            series=f"MLflow {number % 2}",
            data="new" if number > 30 else "old",
            champion=number == 20,
        )
        for number in range(50)
    ]
    figure = metric_trend(points, "RMSE of M over time", "RMSE (score)")
    [axes] = figure.axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[0] == "v50\n2026-04-19"
    assert len(labels) <= 6
    message = [text.get_text() for text in axes.get_legend().get_texts()]
    assert message == ["MLflow 0", "MLflow 1", "this run", "champion", "other data"]
    drawn = {line.get_label(): line for line in axes.get_lines()}
    assert list(drawn["this run"].get_xdata()) == [49]
    assert list(drawn["champion"].get_xdata()) == [20]
    assert to_png(figure).startswith(b"\x89PNG")
    alone = metric_trend(points[:1], "RMSE of M over time", "RMSE (score)")
    assert to_png(alone).startswith(b"\x89PNG")
