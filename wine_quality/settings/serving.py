"""Limits and options of the model server, whose code is ``serving/runtime``, beside the model."""

from wine_quality.settings.setting import Setting

SERVE_MAX_ROWS = Setting("WINE_QUALITY_SERVE_MAX_ROWS", "100000", "rows of one request")
SERVE_MAX_BYTES = Setting(
    "WINE_QUALITY_SERVE_MAX_BYTES", "33554432", "bytes of one request, unpacked"
)
SERVE_MAX_SECONDS = Setting(
    "WINE_QUALITY_SERVE_MAX_SECONDS", "60", "seconds in which a request must have arrived"
)
SERVE_LOG_INPUTS = Setting(
    "WINE_QUALITY_SERVE_LOG_INPUTS", "false", "true: predictions are stored with their inputs"
)
SERVE_REPOSITORY_API = Setting(
    "WINE_QUALITY_SERVE_REPOSITORY_API",
    "false",
    "true: models may be loaded and unloaded by request",
)
