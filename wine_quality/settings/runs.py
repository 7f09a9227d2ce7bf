"""How runs are tracked, when they are launched, and what they may load."""

from wine_quality.settings.setting import Setting

MLFLOW = Setting("WINE_QUALITY_MLFLOW", "3", "the version of runs whose config names none")
MLFLOW_URI = Setting(
    "WINE_QUALITY_MLFLOW_URI",
    "`MLFLOW_TRACKING_URI`, else embedded",
    "tracking server of runs of a version, whose key is the end of the name",
)
MLFLOW_UI = Setting(
    "WINE_QUALITY_MLFLOW_UI",
    "the tracking server",
    "address of the MLflow UI for links, if another",
)
MLFLOW_UI_IDLE_SECONDS = Setting(
    "WINE_QUALITY_MLFLOW_UI_IDLE_SECONDS",
    "900",
    "seconds without a request after which an MLflow UI of `make up` ends",
)
METRICS_URL = Setting(
    "WINE_QUALITY_METRICS_URL", "no history", "PostgreSQL database of the metrics history"
)
WARM_MINUTES = Setting(
    "WINE_QUALITY_WARM_MINUTES",
    "10",
    "minutes that a warm process waits for the next run; 0: no warm processes",
)
WARM_MIB = Setting(
    "WINE_QUALITY_WARM_MIB",
    "400",
    "MiB that all warm processes may use together, when more than one is kept",
)
CRON = Setting(
    "WINE_QUALITY_CRON",
    "`0 6 * * 1`, stopped",
    "times of `regular_retraining`; setting it starts it",
)
TIMEZONE = Setting(
    "WINE_QUALITY_TIMEZONE", "UTC", "time zone of the schedules, such as `Europe/Berlin`"
)
FRESH_DAYS = Setting(
    "WINE_QUALITY_FRESH_DAYS", "30", "days after which the UI shows a model as stale"
)
SIGNING_KEY = Setting("WINE_QUALITY_SIGNING_KEY", "the key file", "key that signs model versions")
SIGNING_KEY_FILE = Setting(
    "WINE_QUALITY_SIGNING_KEY_FILE", "`signing.key` in the home", "file of that key"
)
LOADABLE_FORMATS = Setting(
    "WINE_QUALITY_LOADABLE_FORMATS",
    "what the version writes",
    "model formats that may be loaded, with commas",
)

# Examples of a prefix: each variable of MLflow or of an artifact store may stand behind it.
FROM_MLFLOW_TRACKING_PASSWORD = Setting(
    "WINE_QUALITY_FROM_MLFLOW_TRACKING_PASSWORD",
    "`MLFLOW_TRACKING_PASSWORD`",
    "of `make move`'s source alone; so with each variable of MLflow or of an artifact store",
)
TO_MLFLOW_TRACKING_PASSWORD = Setting(
    "WINE_QUALITY_TO_MLFLOW_TRACKING_PASSWORD",
    "`MLFLOW_TRACKING_PASSWORD`",
    "of its target alone",
)
