"""Slack, through Dagster's ``SlackResource``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wine_quality.notices.notice import Notice, NotSentError
from wine_quality.notices.settings import NoticeSettings

if TYPE_CHECKING:
    from slack_sdk.errors import SlackApiError

_ENDS_LINK = frozenset("|<>\"'` \n\r\t")
_PASSING = ("ratelimited", "internal_error", "fatal_error", "request_timeout")
_ADVICE = {
    "invalid_auth": "check WINE_QUALITY_NOTIFY_SLACK_TOKEN",
    "not_authed": "check WINE_QUALITY_NOTIFY_SLACK_TOKEN",
    "token_revoked": "WINE_QUALITY_NOTIFY_SLACK_TOKEN needs a new token",
    "account_inactive": "WINE_QUALITY_NOTIFY_SLACK_TOKEN needs a new token",
    "missing_scope": "the token needs the scope chat:write",
    "channel_not_found": "check WINE_QUALITY_NOTIFY_SLACK_CHANNEL, and invite the bot there",
    "not_in_channel": "invite the bot to WINE_QUALITY_NOTIFY_SLACK_CHANNEL",
}


class SlackNotifier:
    """Posts it as one message."""

    def __init__(self, settings: NoticeSettings) -> None:
        self._settings = settings

    def send(self, notice: Notice) -> None:
        from dagster_slack import SlackResource
        from slack_sdk.errors import SlackApiError

        client = SlackResource(token=self._settings.slack_token.get_secret_value()).get_client()
        client.base_url = self._settings.slack_url
        client.timeout = max(1, int(self._settings.seconds))  # between bytes; theirs is 30 s
        try:
            client.chat_postMessage(
                channel=self._settings.slack_channel,
                text=in_mrkdwn(notice),
                unfurl_links=False,
                unfurl_media=False,
            )
        except SlackApiError as error:
            raise _translated(error) from None
        except OSError as error:
            # A URLError: no such host, refused, broken off, timed out, no trusted certificate.
            raise NotSentError(
                f"{self._settings.slack_url} gives no answer ({error})", passing=True
            ) from None


def _translated(error: SlackApiError) -> NotSentError:
    answer = error.response
    code = answer.get("error") if isinstance(answer.data, dict) else None
    status = answer.status_code
    advice = f"; {_ADVICE[code]}" if code in _ADVICE else ""
    return NotSentError(
        f"Slack answered {status} {code or 'without JSON'}{advice}",
        passing=status == 429 or status >= 500 or code in _PASSING,
    )


def in_mrkdwn(notice: Notice) -> str:
    """The notice in Slack's markup. What it quotes can mention nobody and link nowhere."""
    linked = [f"<{_in_link(url)}|{_escaped(label)}>" for label, url in notice.links]
    lines = [f"*{_escaped(notice.title)}*", *map(_escaped, notice.lines), " · ".join(linked)]
    return "\n".join(line for line in lines if line)


def _in_link(url: str) -> str:
    """The URL for a link in Slack's markup: its end characters percent-encoded, & escaped."""
    safe = "".join(f"%{ord(sign):02X}" if sign in _ENDS_LINK else sign for sign in url)
    return safe.replace("&", "&amp;")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
