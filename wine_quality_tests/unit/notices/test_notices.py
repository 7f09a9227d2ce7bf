"""Settings, texts, channels and sensors of the notices, against real servers in this process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from dagster import (
    DagsterInstance,
    DagsterRun,
    build_sensor_context,
    job,
    materialize,
    op,
)

from wine_quality.dagster_support.run_tag_names import MLFLOW_VERSION_TAG, SOURCE_TAG
from wine_quality.defs.notices.sensors import deliver_again, notice_sensors
from wine_quality.notices.channels import channels_of
from wine_quality.notices.delivery import deliver
from wine_quality.notices.mail import EmailNotifier, letter
from wine_quality.notices.notice import Notice, NotSentError
from wine_quality.notices.settings import NoticeSettings
from wine_quality.notices.slack import SlackNotifier, in_mrkdwn
from wine_quality.notices.texts import failure_notice
from wine_quality.tracking.registry.promotion_note import Promotion, note_promotion
from wine_quality_tests.support.notice_servers import (
    PASSWORD,
    SLACK_TOKEN,
    HangingHost,
    MailServer,
    SlackStandIn,
)
from wine_quality_tests.support.servers import free_port

LOG = logging.getLogger("test_notices")
NOTICE = Notice("A title", ("a line",), (("Dagster run", "http://localhost:5000/runs/1"),))
EMAIL = {
    "CHANNELS": "email",
    "EMAIL_HOST": "mail.example.org",
    "EMAIL_PASSWORD": "s3cret",
    "EMAIL_FROM": "me@example.org",
    "EMAIL_TO": "ann@example.org",
}


@pytest.fixture
def settings_of(monkeypatch):
    """Settings from variables, given without their prefix."""

    def make(**given: str) -> NoticeSettings:
        for name, value in given.items():
            suffix = "" if name == "CHANNELS" else f"_{name}"
            monkeypatch.setenv(f"WINE_QUALITY_NOTIFY{suffix}", value)
        return NoticeSettings.from_environment()

    return make


# Settings


def test_without_any_variable_it_goes_to_the_log(settings_of):
    assert settings_of().channels == ("log",)
    assert settings_of(CHANNELS="").channels == ("log",)


def test_every_variable_counts(settings_of):
    settings = settings_of(
        **EMAIL | {"CHANNELS": " email, log,email ,mine.tools:Pager", "SECONDS": "5"},
        EMAIL_SECURITY="starttls",
        EMAIL_USER="somebody",
        SLACK_URL="https://slack-gov.com/api",
    )
    assert settings.channels == ("email", "log", "mine.tools:Pager")
    assert (settings.smtp_user, settings.smtp_port, settings.seconds) == ("somebody", 587, 5.0)
    assert settings.slack_url == "https://slack-gov.com/api/"
    assert settings_of(EMAIL_SECURITY="ssl", EMAIL_USER="").smtp_port == 465
    assert settings_of(EMAIL_PORT="2525").smtp_port == 2525
    assert settings_of().smtp_user == "me@example.org"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"CHANNELS": "log,pigeon"}, "WINE_QUALITY_NOTIFY is 'log,pigeon': 'pigeon' is neither"),
        (
            {"CHANNELS": "slack"},
            "WINE_QUALITY_NOTIFY is slack; set WINE_QUALITY_NOTIFY_SLACK_TOKEN, "
            "WINE_QUALITY_NOTIFY_SLACK_CHANNEL too",
        ),
        (EMAIL | {"EMAIL_TO": " , "}, "set WINE_QUALITY_NOTIFY_EMAIL_TO too"),
        (
            EMAIL | {"EMAIL_TO": "ann"},
            "WINE_QUALITY_NOTIFY_EMAIL_TO is 'ann': 'ann' is not a plain",
        ),
        (
            EMAIL | {"EMAIL_FROM": "a@b.org\nBcc: x@y.org"},
            "_EMAIL_FROM is .* is not a plain address",
        ),
        (EMAIL | {"EMAIL_SECURITY": "none"}, "_EMAIL_SECURITY is 'none': .*'ssl' or 'starttls'"),
        (EMAIL | {"EMAIL_PORT": "mail"}, "WINE_QUALITY_NOTIFY_EMAIL_PORT is 'mail'"),
        ({"SECONDS": "60"}, "WINE_QUALITY_NOTIFY_SECONDS is '60': .*less than or equal to 45"),
        ({"SLACK_URL": "https://me:pw@slack.com"}, "_SLACK_URL is 'https://slack.com': it is no"),
    ],
)
def test_what_cannot_be_used_is_named(settings_of, given, words):
    with pytest.raises(ValueError, match=words):
        settings_of(**given)


@pytest.mark.parametrize("name", ["SLACK_TOKEN", "EMAIL_PASSWORD"])
def test_a_secret_is_never_shown(settings_of, name):
    settings = settings_of(**{name: f"{SLACK_TOKEN}\n"})
    assert SLACK_TOKEN not in f"{settings!r} {settings} {settings.model_dump()}"
    assert getattr(settings, name.lower()).get_secret_value() == SLACK_TOKEN
    assert settings.without_secrets(f"no: {SLACK_TOKEN}!") == "no: ***!"
    # http.client would say the whole header in its error.
    with pytest.raises(ValueError, match=f"{name} cannot be used: .*ASCII") as raised:
        settings_of(**{name: f"{SLACK_TOKEN}\nmore"}, EMAIL_PORT="x")
    assert SLACK_TOKEN not in str(raised.value)
    assert raised.value.__cause__ is None and raised.value.__context__ is None


# Texts


def test_a_failed_run_says_step_reason_file_and_link(monkeypatch, tmp_path: Path):
    from wine_quality.defs.data.raw_wine_csv import raw_wine_csv
    from wine_quality.engines.resource import TrainingEngine
    from wine_quality.history.wine_history import WineHistory

    monkeypatch.setenv("DAGSTER_WEBSERVER_URL", "https://dagster.example.org/")
    missing = tmp_path / "no\nwines.csv"
    with DagsterInstance.ephemeral() as instance:
        failed = materialize(
            [raw_wine_csv],
            instance=instance,
            resources={"wine_history": WineHistory(), "training_engine": TrainingEngine()},
            run_config={"ops": {"raw_wine_csv": {"config": {"csv_url": str(missing)}}}},
            tags={SOURCE_TAG: "s3://wines/new.csv"},
            raise_on_error=False,
        )
        run = instance.get_run_by_id(failed.run_id)
    assert run is not None
    notice = failure_notice(run, failed.all_events)
    assert notice.title == "A materialization failed"
    assert notice.lines[0].startswith("raw_wine_csv: /")
    assert "does not exist" in notice.lines[0]
    assert "Traceback" not in notice.text() and "SourceError" not in notice.text()
    assert notice.lines[1:] == ("File: s3://wines/new.csv",)
    assert notice.links == (("Dagster run", f"https://dagster.example.org/runs/{run.run_id}"),)
    assert failure_notice(run, []).lines[0].startswith("Its log says no reason")


def test_reasons_are_short_and_their_urls_carry_no_secret():
    from wine_quality.notices.texts import _short

    text = _short("get https://me:pw@host/a?token=t failed:\n\n  so\nand a stack")
    assert text == "get https://host/a?… failed: so …"
    assert len(_short("x" * 10_000)) < 500


def test_a_letter_cannot_be_given_other_headers(settings_of):
    title = "run\r\nBcc: evil@example.org\r\n\r\nfailed ü " + "x" * 500
    message = letter(Notice(title, ("Wörter ✓", ".")), settings_of(**EMAIL))
    text = message.as_string()
    assert text.isascii()
    assert message["Bcc"] is None and "\nBcc" not in text.partition("\r\n\r\n")[0]
    assert message["Subject"].startswith(r"run\r\nBcc: evil@example.org\r\n\r\nfailed ü")
    assert "Wörter ✓" in message.get_content()


def test_slack_is_told_without_mentions():
    notice = Notice("<!channel> & co", ("<@U1> *",), (("MLflow <a>", "http://h/#/m?a=1&b"),))
    assert in_mrkdwn(notice) == (
        "*&lt;!channel&gt; &amp; co*\n&lt;@U1&gt; *\n<http://h/#/m?a=1&amp;b|MLflow &lt;a&gt;>"
    )


def test_an_address_in_slack_ends_where_it_should():
    """The name of a model or an experiment may stand in it."""
    url = "http://h/#/models/x|click> <!channel> <http://evil.example.org|here\n>"
    text = in_mrkdwn(Notice("promoted", (), (("Model version", url),)))
    assert text.count("<") == text.count(">") == text.count("|") == 1
    assert text.endswith("|Model version>")
    assert "<http://h/#/models/x%7Cclick%3E%20%3C!channel%3E" in text


# Delivery


class Counting:
    """Fails as often as asked, then takes it."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls, self.got = list(errors), 0, []

    def send(self, notice: Notice) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        self.got.append(notice)


class Hanging:
    def __init__(self) -> None:
        self.ended = threading.Event()

    def send(self, _notice: Notice) -> None:
        self.ended.wait(60)


@pytest.fixture
def short_pauses(monkeypatch) -> None:
    monkeypatch.setattr("wine_quality.notices.delivery.PAUSES", (0.1, 0.2))


def test_each_channel_gets_it_whatever_the_others_do(caplog, short_pauses):
    hanging, good = Hanging(), Counting()
    bad = Counting(*[RuntimeError("no") for _ in range(9)])
    refused = Counting(NotSentError("wrong password hunter2"), NotSentError("again"))
    passing = Counting(NotSentError("busy", passing=True), ValueError("flaky"))
    all_of_them = {
        "hanging": hanging,
        "bad": bad,
        "refused": refused,
        "passing": passing,
        "good": good,
    }
    began = time.monotonic()
    with pytest.raises(NotSentError) as raised:
        deliver(
            NOTICE,
            {name: lambda n=n: n for name, n in all_of_them.items()},
            seconds=1,
            log=LOG,
            shown=lambda text: text.replace("hunter2", "***"),
        )
    hanging.ended.set()
    assert time.monotonic() - began < 3
    assert (bad.calls, refused.calls, passing.calls) == (3, 1, 3)
    assert good.got == passing.got == [NOTICE]
    assert str(raised.value) == (
        '"A title" was not sent by hanging: given up after 1 s; bad: no (3 tries); '
        "refused: wrong password ***"
    )
    # What was to be sent is not lost.
    assert NOTICE.text() in caplog.text and "hunter2" not in caplog.text


class Kept:
    """A channel as somebody may bring it along."""

    got: ClassVar[list[Notice]] = []

    def send(self, notice: Notice) -> None:
        self.got.append(notice)


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    Kept.got.clear()


def test_a_channel_of_ones_own(settings_of):
    settings = settings_of(CHANNELS=f"{__name__}:Kept")
    deliver(NOTICE, channels_of(settings, LOG), 5, LOG)
    assert Kept.got == [NOTICE]
    for wrong, words in {
        "no.such:Thing": "no.such:Thing cannot be made: ModuleNotFoundError",
        f"{__name__}:Missing": "cannot be made: AttributeError",
        "threading:Event": r"has no method send\(notice\)",
    }.items():
        with pytest.raises(NotSentError, match=words):
            deliver(NOTICE, channels_of(settings_of(CHANNELS=wrong), LOG), 5, LOG)


@pytest.fixture(params=["ssl", "starttls"])
def mail(request, tmp_path: Path, monkeypatch) -> Iterator[MailServer]:
    server = MailServer(tmp_path, request.param)
    for name, value in server.variables(WINE_QUALITY_NOTIFY="email").items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()


def test_a_letter_arrives(mail):
    EmailNotifier(NoticeSettings.from_environment()).send(
        Notice("Ünïcode", (".", "x" * 2000), NOTICE.links)
    )
    [got] = mail.letters
    assert got["Subject"] == "Ünïcode"
    assert got["X-Recipients"] == got["To"].replace(" ", "") == "ann@example.org,bob@example.org"
    assert got.get_content().splitlines() == [
        "Ünïcode",
        ".",
        "x" * 2000,
        *NOTICE.text().splitlines()[2:],
    ]


@pytest.mark.slow
def test_what_a_mail_server_refuses_is_said(mail, settings_of, monkeypatch):
    def refusal(passing: bool = False, **changes: str) -> str:
        with pytest.raises(NotSentError) as raised:
            EmailNotifier(settings_of(**changes)).send(NOTICE)
        assert raised.value.passing == passing
        assert "canary" not in str(raised.value)
        return str(raised.value)

    mail.refusal = "451 later"
    assert f"127.0.0.1:{mail.port} refused (451 later)" in refusal(passing=True)
    mail.refusal = "554 no"
    assert "refused (554 no)" in refusal()
    login = refusal(EMAIL_PASSWORD="canary wrong")
    assert "refused the login of wine@example.org (535" in login
    assert "check WINE_QUALITY_NOTIFY_EMAIL_USER and _PASSWORD" in login
    settings_of(EMAIL_PASSWORD=PASSWORD)
    other = {"ssl": "starttls", "starttls": "ssl"}[mail.security]
    assert "_EMAIL_PORT and _EMAIL_SECURITY" in refusal(EMAIL_SECURITY=other, SECONDS="3")
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "no trusted certificate" in refusal(EMAIL_SECURITY=mail.security, SECONDS="8")
    assert "gives no answer (" in refusal(passing=True, EMAIL_PORT=str(free_port()))


@pytest.mark.slow
def test_a_mail_server_that_hangs_is_given_up_and_leaves_nothing(settings_of, monkeypatch):
    hanging = HangingHost()
    try:
        settings = settings_of(
            **EMAIL | {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(hanging.port)}, SECONDS="6"
        )
        threads = set(threading.enumerate())  # others' may end meanwhile
        with pytest.raises(NotSentError, match="127.0.0.1:.* gave no answer within 6 s"):
            EmailNotifier(settings).send(NOTICE)
        assert set(threading.enumerate()) <= threads
        [connection] = hanging.connections
        connection.settimeout(5)
        while connection.recv(4096):  # the TLS hello; then the end, since its process is gone
            pass
    finally:
        hanging.stop()


@pytest.fixture
def slack(monkeypatch) -> Iterator[SlackStandIn]:
    server = SlackStandIn()
    for name, value in server.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WINE_QUALITY_NOTIFY", "slack")
    yield server
    server.stop()


def test_slack_gets_a_message_and_what_it_refuses_is_said(slack, settings_of, short_pauses):
    settings = NoticeSettings.from_environment()
    SlackNotifier(settings).send(NOTICE)
    [message] = slack.messages
    assert message["channel"] == "#wine"
    assert message["text"] == "*A title*\na line\n<http://localhost:5000/runs/1|Dagster run>"
    # Passing faults are tried again, refusals are not.
    slack.answers = [(500, "<html>oops</html>"), (200, '{"ok": false, "error": "ratelimited"}')]
    deliver(NOTICE, channels_of(settings, LOG), 8, LOG)
    assert (len(slack.messages), slack.requests) == (2, 4)
    slack.answers = [(200, '{"ok": false, "error": "not_in_channel"}')]
    with pytest.raises(NotSentError, match="Slack answered 200 not_in_channel; invite the bot"):
        deliver(NOTICE, channels_of(settings, LOG), 8, LOG)
    with pytest.raises(NotSentError, match="invalid_auth; check WINE_QUALITY.*TOKEN") as raised:
        SlackNotifier(settings_of(SLACK_TOKEN="xoxb-canary-wrong")).send(NOTICE)
    assert "canary" not in str(raised.value)
    assert slack.requests == 6
    with pytest.raises(NotSentError, match="gives no answer") as raised:
        SlackNotifier(settings_of(SLACK_URL="http://127.0.0.1:1/")).send(NOTICE)
    assert raised.value.passing


# Sensors


@pytest.fixture
def tick():
    """One tick of a notice sensor, as the daemon evaluates it."""
    from wine_quality.definitions import defs

    with DagsterInstance.ephemeral() as instance:

        def evaluate(name: str, cursor: str | None = None):
            [sensor] = [s for s in notice_sensors() if s.name == name]
            context = build_sensor_context(
                instance=instance, cursor=cursor, repository_def=defs.get_repository_def()
            )
            return sensor.evaluate_tick(context)

        evaluate.instance = instance
        yield evaluate


@job
def nothing():
    pass


def decide(instance: DagsterInstance, tags: dict[str, str] | None = None, **how) -> DagsterRun:
    """A run that promotes a version when its tags ask for it, and fails afterwards when they do."""
    fails = how.pop("fails", False)

    @op
    def decision(context) -> None:
        if how:
            tracker = SimpleNamespace(
                model_version_url=lambda name, version: f"{name}/{version}",
                settings=SimpleNamespace(version=(tags or {}).get(MLFLOW_VERSION_TAG, "3")),
            )
            note_promotion(context, tracker, "Wines", **how)
        if fails:
            raise RuntimeError("afterwards")

    @job
    def deciding():
        decision()

    done = deciding.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
    run = instance.get_run_by_id(done.run_id)
    assert run is not None
    return run


@pytest.mark.parametrize("name", ["run_failure_notice", "promotion_notice", "undelivered_notice"])
def test_wrong_settings_fail_these_ticks_and_nothing_else(tick, monkeypatch, name):
    monkeypatch.setenv("WINE_QUALITY_NOTIFY", "slack")
    monkeypatch.setenv("WINE_QUALITY_NOTIFY_SLACK_CHANNEL", "#wine")
    with pytest.raises(ValueError, match="set WINE_QUALITY_NOTIFY_SLACK_TOKEN too"):
        tick(name)


def test_a_promotion_is_told_once(tick, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_NOTIFY", f"{__name__}:Kept")
    instance = tick.instance
    assert tick("promotion_notice").skip_message == "No new champion without a notice."
    first = decide(instance, version="1", before=None)
    decide(instance)
    again = decide(instance, tags=dict(first.tags))  # what a re-execution is given
    assert Promotion.of(again) is None
    decide(instance, tags={SOURCE_TAG: "a.csv"}, version="2", before="1", fails=True)
    decide(instance, tags={MLFLOW_VERSION_TAG: "1.26"}, version="1", before="2", withdrawn=True)
    message = [tick("promotion_notice").skip_message for _ in range(4)]
    assert message == [
        "Reported that Wines version 1 is the champion (MLflow 3); 2 more to report.",
        "Reported that Wines version 2 is the champion (MLflow 3); 1 more to report.",
        "Reported that Wines is back at version 1 (MLflow 1.26).",
        "No new champion without a notice.",
    ]
    texts = [notice.text().splitlines() for notice in Kept.got]
    assert texts[0] == [
        "Wines version 1 is the champion (MLflow 3)",
        "It is the first one.",
        "Decided by deciding.",
        "Model version: Wines/1",
        f"Dagster run: http://localhost:5000/runs/{first.run_id}",
    ]
    assert texts[1][:5] == [
        "Wines version 2 is the champion (MLflow 3)",
        "It takes the place of version 1.",
        "File: a.csv",
        "Decided by deciding.",
        "That run ended as FAILURE afterwards.",
    ]
    assert texts[2][:2] == [
        "Wines is back at version 1 (MLflow 1.26)",
        "Version 2 is withdrawn.",
    ]


def test_a_promotion_that_cannot_be_told_fails_its_tick_and_holds_up_no_other(tick, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_NOTIFY", f"{__name__}:Kept,no.such:Thing")
    for version in ("1", "2"):
        decide(tick.instance, version=version, before=None)
    for version in ("1", "2"):
        with pytest.raises(NotSentError, match=f'"Wines version {version} .* no.such:Thing cannot'):
            tick("promotion_notice")
    assert len(Kept.got) == 2
    assert tick("promotion_notice").skip_message == "No new champion without a notice."


class Flaky:
    """A channel of one's own that is down until it is put right."""

    down = True
    got: ClassVar[list[Notice]] = []

    def send(self, notice: Notice) -> None:
        if self.down:
            raise NotSentError("it is down")
        self.got.append(notice)


@pytest.fixture
def flaky(monkeypatch) -> NoticeSettings:
    """Two channels: the second one is down, and has got nothing yet."""
    monkeypatch.setattr(Flaky, "down", True)
    Flaky.got.clear()
    monkeypatch.setenv("WINE_QUALITY_NOTIFY", f"{__name__}:Kept,{__name__}:Flaky")
    return NoticeSettings.from_environment()


def test_what_a_channel_did_not_take_comes_later_once_by_that_channel_alone(
    tick, monkeypatch, flaky, caplog
):
    instance = tick.instance
    cursor = tick("run_failure_notice").cursor
    parent = decide(instance, version="1", before=None, fails=True)
    tick("run_failure_notice", cursor)
    with pytest.raises(NotSentError):
        tick("promotion_notice")
    titles = {"deciding failed", "Wines version 1 is the champion (MLflow 3)"}
    assert {notice.title for notice in Kept.got} == titles and len(Kept.got) == 2
    run = instance.get_run_by_id(parent.run_id)
    decide(instance, tags=dict(run.tags))  # a re-execution, which Dagster gives its parent's tags

    # Too early, then still down: the pause grows, and nobody hears the same twice.
    now = time.time()
    assert "none of them yet" in deliver_again(instance, flaky, LOG, now).skip_message
    caplog.clear()
    for _ in range(2):
        assert "it is down" in deliver_again(instance, flaky, LOG, now + 15).skip_message
    assert "none of them yet" in deliver_again(instance, flaky, LOG, now + 15).skip_message
    assert "deciding failed" not in caplog.text and len(Kept.got) == 2

    # As after a restart of the daemon: all that is known stands at the run.
    monkeypatch.setattr(Flaky, "down", False)
    for _ in range(2):
        message = deliver_again(instance, flaky, LOG, now + 60).skip_message
        assert message.startswith(f"Sent now by {__name__}:Flaky: ")
    assert {notice.title for notice in Flaky.got} == titles and len(Flaky.got) == 2
    message = deliver_again(instance, flaky, LOG, now + 9e4).skip_message
    assert message == "0 notices to send again, none of them yet."
    assert (len(Kept.got), len(Flaky.got)) == (2, 2)
    assert tick("promotion_notice").skip_message == "No new champion without a notice."


def test_after_a_day_a_notice_is_given_up_with_one_line(tick, flaky):
    decide(tick.instance, version="1", before=None)
    with pytest.raises(NotSentError):
        tick("promotion_notice")
    later = time.time() + 24 * 3600
    deliver_again(tick.instance, flaky, LOG, later - 3600)
    with pytest.raises(NotSentError, match=r'^Given up after a day: "Wines .*: it is down$'):
        deliver_again(tick.instance, flaky, LOG, later + 60)
    assert deliver_again(tick.instance, flaky, LOG, later + 9e4).skip_message.startswith("0 ")


def test_a_channel_that_is_no_longer_set_is_not_waited_for(tick, monkeypatch, flaky):
    decide(tick.instance, version="1", before=None)
    with pytest.raises(NotSentError):
        tick("promotion_notice")
    monkeypatch.setenv("WINE_QUALITY_NOTIFY", f"{__name__}:Kept")
    fewer = NoticeSettings.from_environment()
    deliver_again(tick.instance, fewer, LOG, time.time() + 60)
    assert deliver_again(tick.instance, fewer, LOG, time.time() + 9e4).skip_message[0] == "0"
    assert len(Kept.got) == 1


def test_a_failed_run_is_told_once_and_a_cancelled_one_not(tick, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_NOTIFY", f"{__name__}:Kept")
    cursor = tick("run_failure_notice").cursor  # from now on
    decide(tick.instance)
    canceled = tick.instance.create_run_for_job(nothing)
    tick.instance.report_run_canceled(canceled)
    failed = [decide(tick.instance, fails=True) for _ in range(2)]
    messages = []
    for _ in failed:  # one a tick
        reported = tick("run_failure_notice", cursor)
        cursor = reported.cursor
        [reaction] = reported.dagster_run_reactions
        assert reaction.error is None
        messages.append(reaction.dagster_run.run_id)
    assert messages == [run.run_id for run in failed]
    assert [(notice.title, notice.lines) for notice in Kept.got] == [
        ("deciding failed", ("decision: RuntimeError: afterwards",))
    ] * 2
    assert not tick("run_failure_notice", cursor).dagster_run_reactions


def test_a_failure_that_cannot_be_told_is_the_error_of_its_tick(tick, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_NOTIFY", f"no.such:Thing,{__name__}:Kept")
    cursor = tick("run_failure_notice").cursor
    decide(tick.instance, fails=True)
    reported = tick("run_failure_notice", cursor)
    [reaction] = reported.dagster_run_reactions
    assert '"deciding failed" was not sent by no.such:Thing: ' in reaction.error.message
    assert len(Kept.got) == 1
    assert not tick("run_failure_notice", reported.cursor).dagster_run_reactions
