"""The platform of ``make stack`` and its databases."""

from wine_quality.settings.setting import Setting

ENV_FILE = Setting(
    "WINE_QUALITY_ENV_FILE", "`.env`, else `.env.example`", "settings of `make stack`"
)
POSTGRES_BIN = Setting(
    "WINE_QUALITY_POSTGRES_BIN", "searched for", "folder of PostgreSQL's programs for `make stack`"
)
STORE = Setting(
    "WINE_QUALITY_STORE",
    "`minio` on `PATH`, else `nanio`",
    "`nanio`, `minio` or `seaweedfs`: S3 of `make stack`",
)
KEEP_PREDICTIONS_DAYS = Setting(
    "WINE_QUALITY_KEEP_PREDICTIONS_DAYS",
    "all",
    "days after which `make metrics DO=policies` has them deleted",
)
KEEP_METRICS_DAYS = Setting(
    "WINE_QUALITY_KEEP_METRICS_DAYS", "all", "the same, for metrics of registered versions"
)
COMPRESS_DAYS = Setting(
    "WINE_QUALITY_COMPRESS_DAYS", "never", "days after which TimescaleDB compresses both"
)
