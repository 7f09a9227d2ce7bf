"""An MLflow 3 server with MLflow's own basic-auth app, and its users."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality_tests.support.servers import MlflowServer

ADMIN, ADMIN_PASSWORD = "admin", "only-for-these-tests"
_CONFIG = """[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/auth.db
admin_username = {user}
admin_password = {password}
auth_cache_ttl_seconds = 60
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


class AuthServer(MlflowServer):
    """Whoever has no permission of their own may read (MLflow's default)."""

    options = ("--app-name", "basic-auth")
    headers = {  # those of the admin
        "Authorization": "Basic " + base64.b64encode(f"{ADMIN}:{ADMIN_PASSWORD}".encode()).decode()
    }

    def __init__(self, version: MlflowVersion, folder: Path, **variables: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "auth.ini"
        config.write_text(_CONFIG.format(folder=folder, user=ADMIN, password=ADMIN_PASSWORD))
        secret = secrets.token_hex(16)
        super().__init__(
            version,
            folder,
            MLFLOW_AUTH_CONFIG_PATH=str(config),
            MLFLOW_FLASK_SERVER_SECRET_KEY=secret,
            **variables,
        )

    def add_user(self, name: str) -> dict[str, str]:
        """A user who is no admin; the variables by which MLflow's client is that user.

        Passwords are kept for a minute by the server, which would hash them at each request.
        """
        password = secrets.token_urlsafe(12)
        self.rest("users/create", username=name, password=password)
        return {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": password}

    def grant(self, user: str, kind: str, name: str, permission: str) -> None:
        """Give a user a permission.

        Args:
            kind: ``experiment`` or ``registered_model``.
            name: The experiment's id, or the model's name.
            permission: READ, EDIT, MANAGE or NO_PERMISSIONS.
        """
        body = {
            "username": user,
            "resource_type": kind,
            "resource_id": name,
            "permission": permission,
        }
        self._ask("3.0/mlflow/users/permissions/grant", "POST", json.dumps(body).encode())
