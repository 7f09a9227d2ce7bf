"""E-mail, through the functions behind Dagster's ``make_email_on_run_failure_sensor``.

They know no time-out, and a thread that hangs in one could never be ended. So they run in a process
of their own, which can: ``python -m wine_quality.notices.mail`` with the letter as JSON on stdin.
"""

from __future__ import annotations

import json
import os
import smtplib
import socket
import ssl
import subprocess
import sys
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from wine_quality.notices.notice import Notice, NotSentError
from wine_quality.notices.settings import NoticeSettings
from wine_quality.paths import PROJECT_ROOT

_LONGEST_SUBJECT = 150
# Before the process that waits for it gives up: this one has the better error.
_EARLIER_SECONDS = 0.5
_CHECK = "check WINE_QUALITY_NOTIFY_EMAIL_HOST, _EMAIL_PORT and _EMAIL_SECURITY"


class EmailNotifier:
    """Sends it as one plain-text letter to all readers."""

    def __init__(self, settings: NoticeSettings) -> None:
        self._settings = settings

    def send(self, notice: Notice) -> None:
        settings = self._settings
        order = {
            "security": settings.email_security,
            "seconds": settings.seconds,
            "letter": {
                "email_from": settings.email_from,
                "email_password": settings.email_password.get_secret_value(),
                "email_to": settings.email_to,
                "message": letter(notice, settings).as_string(),
                "smtp_host": settings.email_host,
                "smtp_port": settings.smtp_port,
                "smtp_user": settings.smtp_user,
            },
        }
        try:
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-m", __name__],
                input=json.dumps(order),
                env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
                capture_output=True,
                text=True,
                timeout=settings.seconds - _EARLIER_SECONDS,
            )
        except subprocess.TimeoutExpired:
            # Not the exception itself, which holds what was sent.
            raise NotSentError(
                f"{settings.email_host}:{settings.smtp_port} gave no answer within "
                f"{settings.seconds:g} s; {_CHECK}"
            ) from None
        if done.returncode != 0:
            output = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
            raise NotSentError(
                f"{settings.email_host}:{settings.smtp_port} {output[:500]}",
                passing=done.returncode == os.EX_TEMPFAIL,
            )


def letter(notice: Notice, settings: NoticeSettings) -> EmailMessage:
    """The notice as a plain-text message, encoded in ASCII."""
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    message["Subject"] = " ".join(notice.title.split())[:_LONGEST_SUBJECT]
    message["From"] = settings.email_from
    message["To"] = ", ".join(settings.email_to)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday answers it
    message.set_content(notice.text(), cte="quoted-printable")
    return message


def post(order: dict[str, Any]) -> None:
    """Send a letter, with a time-out on each answer of the server.

    Raises:
        NotSentError: with the server's answer.
    """
    from wine_quality.dagster_support.dagster_private import (
        send_email_via_ssl,
        send_email_via_starttls,
    )

    send = {"ssl": send_email_via_ssl, "starttls": send_email_via_starttls}[order["security"]]
    socket.setdefaulttimeout(order["seconds"])
    try:
        send(**order["letter"])
    except smtplib.SMTPAuthenticationError as error:
        raise NotSentError(
            f"refused the login of {order['letter']['smtp_user']} ({_answer(error)}); check "
            "WINE_QUALITY_NOTIFY_EMAIL_USER and _PASSWORD"
        ) from None
    except smtplib.SMTPRecipientsRefused as error:
        refused = ", ".join(error.recipients)
        passing = all(400 <= code < 500 for code, _ in error.recipients.values())
        raise NotSentError(f"takes no mail for {refused}", passing) from None
    except smtplib.SMTPResponseException as error:
        raise NotSentError(f"refused ({_answer(error)})", 400 <= error.smtp_code < 500) from None
    except smtplib.SMTPNotSupportedError as error:
        raise NotSentError(f"cannot be used: {error}") from None
    except ssl.SSLCertVerificationError as error:
        raise NotSentError(
            f"has no trusted certificate ({error.verify_message}); SSL_CERT_FILE names the "
            "authorities to trust"
        ) from None
    except ssl.SSLError as error:
        raise NotSentError(f"speaks no TLS here ({error.reason}); {_CHECK}") from None
    except OSError as error:
        raise NotSentError(f"gives no answer ({error})", passing=True) from None


def _answer(error: smtplib.SMTPResponseException) -> str:
    answer = error.smtp_error
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    return f"{error.smtp_code} {' '.join(text.split())}"


def main() -> int:
    try:
        post(json.load(sys.stdin))
    except NotSentError as error:
        print(error, file=sys.stderr)
        return os.EX_TEMPFAIL if error.passing else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
