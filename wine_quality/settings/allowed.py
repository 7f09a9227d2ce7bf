"""Addresses, places and options that run config may use."""

from wine_quality.settings.setting import Setting

SCHEMES = Setting("WINE_QUALITY_ALLOWED_SCHEMES", "https,s3,file", "schemes of `csv_url`")
HOSTS = Setting(
    "WINE_QUALITY_ALLOWED_HOSTS", "all with public addresses", "hosts of `csv_url`; `*`: all"
)
NETWORKS = Setting(
    "WINE_QUALITY_ALLOWED_NETWORKS", "none", "private networks that those hosts may be in, as CIDR"
)
BUCKETS = Setting("WINE_QUALITY_ALLOWED_BUCKETS", "all", "buckets of `csv_url`")
ROOTS = Setting(
    "WINE_QUALITY_ALLOWED_ROOTS", "the watched folder", "folders that files may be read from"
)
TRACKING_URIS = Setting(
    "WINE_QUALITY_ALLOWED_TRACKING_URIS",
    "the environment's own",
    "MLflow servers that run config may name",
)
METRICS_URLS = Setting(
    "WINE_QUALITY_ALLOWED_METRICS_URLS",
    "the environment's own",
    "databases that run config may name",
)
OUTPUTS = Setting(
    "WINE_QUALITY_ALLOWED_OUTPUTS",
    "`s3://*`, and the environment's own",
    "places that run config may write to (`base_path`)",
)
ENDPOINTS = Setting(
    "WINE_QUALITY_ALLOWED_ENDPOINTS",
    "this machine, for `local_server`",
    "model servers that run config may ask (`endpoint`, `local_server`)",
)
IMAGES = Setting(
    "WINE_QUALITY_ALLOWED_IMAGES", "the project's own", "images that run config may deploy"
)
SPARK_MASTERS = Setting(
    "WINE_QUALITY_ALLOWED_SPARK_MASTERS", "local", "Spark masters that run config may name"
)
SPARK_OPTIONS = Setting(
    "WINE_QUALITY_ALLOWED_SPARK_OPTIONS",
    "sizes, numbers, times",
    "Spark properties that run config may set",
)
CONFIG_VARIABLES = Setting(
    "WINE_QUALITY_ALLOWED_CONFIG_VARIABLES",
    "the MLflow servers' addresses",
    "variables that run config may read with `{env: NAME}`",
)
UI_HOSTS = Setting(
    "WINE_QUALITY_ALLOWED_UI_HOSTS",
    "this machine's",
    "further host names under which the UIs answer",
)
