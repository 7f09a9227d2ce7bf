"""One variable of the environment."""

from __future__ import annotations

import os


class Setting(str):
    """The string is the variable's name, so that it may stand in messages and in the environment
    of a child process.

    Attributes:
        default: Text for people on the value when it is not set.
        meaning: Text for people on what it sets.
    """

    default: str
    meaning: str

    def __new__(cls, name: str, default: str = "", meaning: str = "") -> Setting:
        setting = super().__new__(cls, name)
        setting.default, setting.meaning = default, meaning
        return setting

    def read(self) -> str:
        """Its value; empty when it is not set."""
        return os.environ.get(self, "")

    def of_version(self, key: str) -> str:
        """The name of the variable for one MLflow version, such as ``…_2_1_1``."""
        return f"{self}_{key.replace('.', '_')}"


# Prefixes: their fields are those of ``WatchedSource``, ``NoticeSettings`` and ``own_access``.
WATCH = Setting("WINE_QUALITY_WATCH")
NOTIFY = Setting("WINE_QUALITY_NOTIFY")
DATA = Setting("WINE_QUALITY_DATA")
