"""Folders, buckets and databases, and their keys."""

from wine_quality.settings.setting import Setting

HOME = Setting(
    "WINE_QUALITY_HOME",
    "`.wine_quality` in the checkout; without one `~/.local/share/wine_quality`",
    "values, history, embedded stores, the Dagster home",
)
ENVIRONMENTS = Setting(
    "WINE_QUALITY_ENVIRONMENTS",
    "`.venvs` in the checkout; without one `environments` in the home's default",
    "where environments are built",
)
BUILD_ENVIRONMENTS = Setting(
    "WINE_QUALITY_BUILD_ENVIRONMENTS",
    "1",
    "0: a run fails if its MLflow version's environment is not built yet",
)
ASSETS = Setting(
    "WINE_QUALITY_ASSETS",
    "`assets` in the home",
    "values between steps: a folder or `s3://bucket/prefix`",
)
ASSETS_KEY = Setting("WINE_QUALITY_ASSETS_KEY", "", "S3 access key for these values")
ASSETS_SECRET = Setting("WINE_QUALITY_ASSETS_SECRET", "", "S3 secret key for these values")
ASSETS_ENDPOINT = Setting(
    "WINE_QUALITY_ASSETS_ENDPOINT", "", "address of an S3 store other than AWS"
)
ASSETS_REGION = Setting("WINE_QUALITY_ASSETS_REGION", "", "its region")
HISTORY = Setting(
    "WINE_QUALITY_HISTORY",
    "`history` in the home",
    "accepted files: a folder or `s3://bucket/prefix`",
)
DEPLOYMENTS = Setting(
    "WINE_QUALITY_DEPLOYMENTS",
    "beside the assets",
    "files that serve a model: a folder or `s3://bucket/prefix`",
)
DATA_KEY = Setting("WINE_QUALITY_DATA_KEY", "the AWS variables", "S3 key for reading wines")
DATA_SECRET = Setting(
    "WINE_QUALITY_DATA_SECRET", "the AWS variables", "S3 secret for reading wines"
)
DATA_ENDPOINT = Setting(
    "WINE_QUALITY_DATA_ENDPOINT", "the AWS variables", "address of an S3 store other than AWS"
)
TABLE_DATABASES = Setting(
    "WINE_QUALITY_TABLE_DATABASES",
    "none",
    "PostgreSQL databases, with their logins, whose tables batch scoring may read",
)
DATA_REGION = Setting("WINE_QUALITY_DATA_REGION", "the AWS variables", "its region")
