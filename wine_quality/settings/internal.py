"""Variables that the project sets for its own processes; users do not set them."""

from wine_quality.settings.setting import Setting

MLFLOW_UIS = Setting("WINE_QUALITY_MLFLOW_UIS")
PARENT_PID = Setting("WINE_QUALITY_PARENT_PID")
RUN_VARIABLES = Setting("WINE_QUALITY_RUN_VARIABLES")
TERMINAL_FD = Setting("WINE_QUALITY_TERMINAL_FD")
WARM_FOLDER = Setting("WINE_QUALITY_WARM_FOLDER")
