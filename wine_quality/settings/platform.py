"""The platform of ``make stack``."""

from wine_quality.settings.setting import Setting

ENV_FILE = Setting(
    "WINE_QUALITY_ENV_FILE", "`.env`, else `.env.example`", "settings of `make stack`"
)
POSTGRES_BIN = Setting(
    "WINE_QUALITY_POSTGRES_BIN", "searched for", "folder of PostgreSQL's programs for `make stack`"
)
