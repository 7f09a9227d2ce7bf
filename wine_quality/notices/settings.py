"""The channels of notices, from the environment."""

from __future__ import annotations

import os
import re
from email.utils import getaddresses
from typing import Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from wine_quality.settings.setting import NOTIFY
from wine_quality.sources.location import LocationError, check_host_name, parse_server
from wine_quality.sources.transfer import redact_url

PREFIX = NOTIFY
LOG, SLACK, EMAIL = "log", "slack", "email"
_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_NEEDED = {
    SLACK: ("slack_token", "slack_channel"),
    EMAIL: ("email_host", "email_password", "email_from", "email_to"),
}
_PORTS = {"ssl": 465, "starttls": 587}


class NoticeSettings(BaseModel):
    """``from_environment`` takes ``channels`` from ``WINE_QUALITY_NOTIFY`` and every other field
    from ``WINE_QUALITY_NOTIFY_<FIELD>``; what is not set there is the default here."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    channels: tuple[str, ...] = Field(
        (LOG,), description="log, slack, email, or module:Class of your own; with commas."
    )
    seconds: float = Field(
        20.0,
        ge=1,
        le=45,
        description="For one notice, all tries included; a slower channel is given up.",
    )
    slack_token: SecretStr = Field(SecretStr(""), description="Bot token with chat:write.")
    slack_channel: str = Field("", description="Channel, such as #wine; the bot must be in it.")
    slack_url: str = Field(
        "https://slack.com/api/", description="Slack's API; another one for GovSlack."
    )
    email_host: str = Field("", description="SMTP server; it must offer a login.")
    email_port: int | None = Field(
        None, ge=1, le=65535, description="Port; 465 for ssl and 587 for starttls if not set."
    )
    email_security: Literal["ssl", "starttls"] = Field(
        "ssl", description="ssl from the first byte, or starttls. Nothing goes out in clear."
    )
    email_user: str = Field("", description="User of the login; email_from if not set.")
    email_password: SecretStr = Field(SecretStr(""), description="Password of the login.")
    email_from: str = Field("", description="Address of the sender.")
    email_to: tuple[str, ...] = Field((), description="Addresses of the readers; with commas.")

    @classmethod
    def from_environment(cls) -> NoticeSettings:
        """The settings in the variables.

        Raises:
            ValueError: names the variables that cannot be used, and why; it shows no secret.
        """
        given = {name: os.environ.get(_variable(name)) for name in cls.model_fields}
        try:
            return cls.model_validate({name: text for name, text in given.items() if text})
        except ValidationError as error:
            problems = [
                _sentence(str(p["loc"][0]) if p["loc"] else None, p["input"], p["msg"])
                for p in error.errors()
            ]
        raise ValueError("; ".join(problems))

    @property
    def smtp_port(self) -> int:
        return self.email_port or _PORTS[self.email_security]

    @property
    def smtp_user(self) -> str:
        return self.email_user or self.email_from

    def without_secrets(self, text: str) -> str:
        """The text as it may be shown, should a library have put a secret into its message."""
        for secret in (self.slack_token, self.email_password):
            if secret.get_secret_value():
                text = text.replace(secret.get_secret_value(), "***")
        return text

    @field_validator("channels", "email_to", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        return tuple(dict.fromkeys(item.strip() for item in given.split(",") if item.strip()))

    @field_validator("channels")
    @classmethod
    def _known(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        for channel in channels:
            if channel not in (LOG, SLACK, EMAIL) and not _OWN.fullmatch(channel):
                raise ValueError(f"{channel!r} is neither log, slack, email nor module:Class")
        return channels

    @field_validator("slack_token", "email_password", mode="before")
    @classmethod
    def _plain(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        secret = given.strip()  # files that hold secrets end with a newline
        if not secret.isascii() or not secret.isprintable():
            # What is sent could not carry them, and the error would show them.
            raise ValueError("it has characters other than printable ASCII")
        return secret

    @field_validator("slack_url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        try:
            found = parse_server(url)
        except LocationError:
            found = None
        if found is None or found.has_credentials or found.query or "#" in url:
            raise ValueError("it is not an https:// URL")
        return url.rstrip("/") + "/"

    @field_validator("email_host")
    @classmethod
    def _is_host(cls, host: str) -> str:
        return check_host_name(host) if host else host

    @field_validator("email_from")
    @classmethod
    def _one_address(cls, address: str) -> str:
        return _address(address)

    @field_validator("email_to")
    @classmethod
    def _addresses(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_address, addresses))

    @model_validator(mode="after")
    def _complete(self) -> NoticeSettings:
        missing = [
            _variable(name)
            for channel in self.channels
            for name in _NEEDED.get(channel, ())
            if not self._has(name)
        ]
        if missing:
            raise ValueError(f"{PREFIX} is {','.join(self.channels)}; set {', '.join(missing)} too")
        return self

    def _has(self, name: str) -> bool:
        value = getattr(self, name)
        return bool(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _address(text: str) -> str:
    name, address = (getaddresses([text]) or [("", "")])[0]
    if name or address != text or not re.fullmatch(r"[!-~]+@[!-~]+", address):
        raise ValueError(f"{text!r} is not a plain address, such as me@example.org")
    return address


def _variable(name: str) -> str:
    return PREFIX if name == "channels" else f"{PREFIX}_{name.upper()}"


def _sentence(name: str | None, given: object, message: str) -> str:
    message = message.removeprefix("Value error, ")
    if name is None:
        return message
    if NoticeSettings.model_fields[name].annotation is SecretStr:
        return f"{_variable(name)} cannot be used: {message}"
    shown = redact_url(given) if isinstance(given, str) and "://" in given else given
    return f"{_variable(name)} is {shown!r}: {message}"
