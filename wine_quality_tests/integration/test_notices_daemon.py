"""Notices of a real daemon: each event once, and what hangs or is wrong stops nothing else.

Slack itself cannot be had here: a stand-in answers its API, to Slack's own client. The mail server
is a real one, with TLS and a login.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.notice_servers import (
    PASSWORD,
    SLACK_TOKEN,
    HangingHost,
    MailServer,
    SlackStandIn,
)
from wine_quality_tests.support.servers import MlflowServer, await_condition
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

FAILURES, PROMOTIONS, OTHER = "run_failure_notice", "promotion_notice", "mlflow_run_closer"
AGAIN = "undelivered_notice"
MODEL = "TalkedAbout"


class NoticePlatform:
    """A platform with a mail server and a Slack, and a host that hangs."""

    def __init__(self, folder: Path, server: MlflowServer) -> None:
        self.folder, self.server = folder, server
        self.mail = MailServer(folder, "ssl")
        self.slack = SlackStandIn()
        self.hanging = HangingHost()
        self.dagster = DagsterStack(
            folder / "home",
            MLFLOW_TRACKING_URI=server.uri,
            DAGSTER_WEBSERVER_URL="https://dagster.example.org",
            WINE_QUALITY_NOTIFY="log,slack,email",
            WINE_QUALITY_ALLOWED_ROOTS=str(folder),
            **self.slack.variables(),
            **self.mail.variables(),
        )
        await_condition(lambda: bool(self.dagster.ticks(FAILURES)), "the first tick")

    def stop(self) -> None:
        self.dagster.stop()
        for server in (self.mail, self.slack, self.hanging):
            server.stop()

    def restart_daemon(self, **variables: str) -> None:
        self.dagster.kill_daemon()
        self.dagster.variables.update(variables)
        self.dagster.start_daemon()

    def fail(self, name: str) -> str:
        """A run that cannot read its file."""
        missing = str(self.folder / name)
        run_id = self.dagster.launch({"ops": {"raw_wine_csv": {"config": {"csv_url": missing}}}})
        assert self.dagster.wait(run_id) == "FAILURE"
        return run_id

    def train(self, alpha: float) -> str:
        run_id = self.dagster.launch(
            {
                "resources": {
                    "hyperparameters": {"config": {"alpha": alpha}},
                    "mlflow": {"config": {"registered_model_name": MODEL}},
                }
            }
        )
        assert self.dagster.wait(run_id) == "SUCCESS"
        return run_id

    def rollback(self) -> None:
        config = self.folder / "rollback.yaml"
        config.write_text(f"resources: {{mlflow: {{config: {{registered_model_name: {MODEL}}}}}}}")
        done = run_command("rollback", "--config", str(config), env=self.dagster.variables)
        assert done.returncode == 0, done.stderr

    def await_sent(self, mails: int, posts: int) -> None:
        await_condition(
            lambda: len(self.mail.letters) >= mails and len(self.slack.messages) >= posts,
            f"{mails} letters and {posts} posts",
            120,
        )

    def await_failed_tick(self, sensor: str, words: str) -> None:
        def failed() -> bool:
            latest = self.dagster.ticks(sensor)[0]
            error = latest["error"] or {"message": "", "causes": []}
            text = [error["message"], *(cause["message"] for cause in error["causes"])]
            return latest["status"] == "FAILURE" and words in "\n".join(text)

        await_condition(failed, f"a tick of {sensor} that fails with {words!r}", 120)

    def await_tick(self, sensor: str, status: str) -> None:
        """The latest ended so, and began after this was called."""
        called = time.time()

        def ended() -> bool:
            latest = self.dagster.ticks(sensor)[0]
            return latest["timestamp"] > called and latest["status"] == status

        await_condition(
            ended,
            f"a tick of {sensor} that ends as {status}",
            120,
        )


def plain(letter: EmailMessage) -> str:
    return letter.get_content().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def notices(tmp_path_factory, mlflow_server) -> Iterator[NoticePlatform]:
    notices = NoticePlatform(
        tmp_path_factory.mktemp("notices"), mlflow_server(MLFLOW_VERSIONS["3"])
    )
    yield notices
    notices.stop()


def test_what_happens_is_told_once_by_each_channel(notices):
    canceled = notices.dagster.launch({})
    notices.dagster.terminate(canceled)
    failed = notices.fail("missing.csv")
    notices.train(0.5)
    notices.train(0.1)
    notices.rollback()  # from a terminal, so by no run of the code location
    assert notices.dagster.wait(canceled) == "CANCELED"
    notices.await_sent(mails=4, posts=4)

    letters = {letter["Subject"]: plain(letter) for letter in notices.mail.letters}
    link = f"https://dagster.example.org/runs/{failed}"
    text = letters["wine_quality_model failed"]
    assert f"raw_wine_csv: {notices.folder}/missing.csv does not exist" in text
    assert f"Dagster run: {link}" in text
    assert "Traceback" not in text and "line 1" not in text
    assert "It is the first one." in letters[f"{MODEL} version 1 is the champion (MLflow 3)"]
    text = letters[f"{MODEL} version 2 is the champion (MLflow 3)"]
    assert text.splitlines()[1:4] == [
        "It takes the place of version 1.",
        "RMSE on the same rows: version 2 0.730900, version 1 0.793164.",
        "Decided by wine_quality_model.",
    ]
    assert f"Model version: {notices.server.uri}/#/models/{MODEL}/versions/2" in text
    assert "Version 2 is withdrawn." in letters[f"{MODEL} is back at version 1 (MLflow 3)"]

    posts = {
        message["text"].partition("\n")[0]: message["text"] for message in notices.slack.messages
    }
    assert posts.keys() == {f"*{subject}*" for subject in letters}
    post = posts["*wine_quality_model failed*"]
    assert f"\nraw_wine_csv: {notices.folder}/missing.csv does not exist" in post
    assert f"<{link}|Dagster run>" in post

    for sensor in (FAILURES, PROMOTIONS):
        notices.await_tick(sensor, "SKIPPED")
    assert (len(notices.mail.letters), len(notices.slack.messages)) == (4, 4)


def test_what_is_wrong_or_hangs_stops_nothing_else(notices):
    mails, posts = len(notices.mail.letters), len(notices.slack.messages)
    notices.restart_daemon(WINE_QUALITY_NOTIFY="pigeon")
    for sensor in (FAILURES, PROMOTIONS):
        notices.await_failed_tick(
            sensor, "WINE_QUALITY_NOTIFY is 'pigeon': 'pigeon' is neither log"
        )
    notices.fail("meanwhile.csv")
    notices.train(0.05)

    # Put right again, but for the mail server: what happened meanwhile comes by Slack.
    notices.restart_daemon(
        WINE_QUALITY_NOTIFY="email,slack",
        WINE_QUALITY_NOTIFY_EMAIL_PORT=str(notices.hanging.port),
        WINE_QUALITY_NOTIFY_SECONDS="5",
    )
    reason = f"not sent by email: 127.0.0.1:{notices.hanging.port} gave no answer within 5 s; check"
    notices.await_failed_tick(FAILURES, f'"wine_quality_model failed" was {reason}')
    notices.await_failed_tick(
        PROMOTIONS, f'"{MODEL} version 3 is the champion (MLflow 3)" was {reason}'
    )
    texts = sorted(message["text"] for message in notices.slack.messages[posts:])
    assert (
        f"*{MODEL} version 3 is the champion (MLflow 3)*\nIt takes the place of version 1."
        in texts[0]
    )
    assert "meanwhile.csv does not exist" in texts[1]
    for sensor in (FAILURES, PROMOTIONS, OTHER):
        notices.await_tick(sensor, "SKIPPED")
    assert len(notices.slack.messages) == posts + 2
    assert len(notices.mail.letters) == mails
    assert notices.hanging.connections

    # The mail server is back: its letters come, to a daemon that did not see them fail.
    notices.restart_daemon(**notices.mail.variables())
    notices.await_sent(mails=mails + 2, posts=posts + 2)
    subjects = {letter["Subject"] for letter in notices.mail.letters[mails:]}
    assert subjects == {
        "wine_quality_model failed",
        f"{MODEL} version 3 is the champion (MLflow 3)",
    }
    notices.await_tick(AGAIN, "SKIPPED")
    assert len(notices.mail.letters) == mails + 2
    assert len(notices.slack.messages) == posts + 2


def test_no_secret_was_written_anywhere(notices):
    notices.dagster.stop()
    files = [file for file in notices.folder.rglob("*") if file.is_file()]
    assert any(file.name == "daemon.log" for file in files)
    secrets = [PASSWORD.encode(), SLACK_TOKEN.encode()]
    assert not [f for f in files if any(secret in f.read_bytes() for secret in secrets)]
