"""Paths of the project's own files and of everything local. Standard library only.

In a checkout the project's files lie beside the package, and everything local in ``.wine_quality``
and ``.venvs`` of the checkout. A wheel has the files in the package (``setup.py`` puts them into
``project_files``), and everything local lies in the user's folder.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from wine_quality.escaping import ProjectError
from wine_quality.settings import places
from wine_quality.usable_paths import set_link, usable_path

_PACKAGE = Path(__file__).resolve().parent
_FILES_OF_WHEEL = _PACKAGE / "project_files"
PACKAGED_RED_WINE = Path(__file__).with_name("datasets") / "winequality-red.csv"
IS_CHECKOUT = not _FILES_OF_WHEEL.is_dir()


def user_folder() -> Path:
    """``wine_quality`` in ``$XDG_DATA_HOME``, else in ``~/.local/share``."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "wine_quality"


def linked_package(package: Path) -> Path:
    """A folder with a link to an installed package and nothing else, for PYTHONPATH.

    ``site-packages`` itself has other packages too, which another version's environment must not
    see.

    Raises:
        OSError: the user's folder cannot be written; the message names the variable for another.
    """
    name = hashlib.sha256(str(package).encode()).hexdigest()[:12]
    folder = user_folder() / "code" / name
    link = folder / package.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        link.symlink_to(package)
    except FileExistsError:
        pass
    except OSError as error:
        raise OSError(
            f"{folder} cannot be made: {error}. Set XDG_DATA_HOME to a folder that can be written."
        ) from error
    return folder


PROJECT_ROOT = _PACKAGE.parent if IS_CHECKOUT else linked_package(_PACKAGE)
"""The folder that the package is imported from: the checkout, or one with the package alone."""
PROJECT_FILES = PROJECT_ROOT if IS_CHECKOUT else _FILES_OF_WHEEL
"""The folder of ``dagster.yaml`` and ``workspace.yaml``."""
LOCK_FILES = (
    PROJECT_ROOT / "deploy" / "requirements" if IS_CHECKOUT else _FILES_OF_WHEEL / "requirements"
)


class CheckoutMissingError(ProjectError, RuntimeError):
    """A command needs files that only a checkout has."""


def require_checkout(command: str) -> None:
    """Refuse a command that needs the deployment files of a checkout.

    Raises:
        CheckoutMissingError: this is an installed wheel.
    """
    if not IS_CHECKOUT:
        raise CheckoutMissingError(
            f"`{command}` needs a checkout of the project: the installed package has no deploy/."
        )


def up_command(key: str) -> str:
    """The command that starts the UIs with an MLflow version picked, for messages."""
    return f"make up MLFLOW={key}" if IS_CHECKOUT else f"wine-quality up --mlflow {key}"


def home() -> Path:
    """``$WINE_QUALITY_HOME``, else ``.wine_quality`` in the checkout, else the user's folder; by a
    usable path."""
    default = PROJECT_ROOT / ".wine_quality" if IS_CHECKOUT else user_folder()
    return usable_path(Path(places.HOME.read() or default).resolve())


def embedded_store(key: str) -> Path:
    """The folder of a version's embedded store; their database schemas differ, so one each."""
    return home() / f"mlflow-{key}"


def history_location() -> str:
    """``$WINE_QUALITY_HISTORY``, else in ``$WINE_QUALITY_HOME``."""
    return places.HISTORY.read() or str(home() / "history")


def assets_location() -> str:
    """``$WINE_QUALITY_ASSETS``, else in ``$WINE_QUALITY_HOME``."""
    return places.ASSETS.read() or str(home() / "assets")


def deployments(configured: str = "") -> str:
    """``configured``, else ``$WINE_QUALITY_DEPLOYMENTS``, else beside ``$WINE_QUALITY_ASSETS``,
    else in ``$WINE_QUALITY_HOME``."""
    found = configured or places.DEPLOYMENTS.read()
    if found:
        return found.rstrip("/")
    assets = places.ASSETS.read().rstrip("/")
    parent, slash, _ = assets.rpartition("/")
    return f"{parent}/deployments" if slash and parent else str(home() / "deployments")


def predictions() -> Path:
    """The default folder of batch predictions."""
    return home() / "predictions"


def dagster_home() -> Path:
    """The Dagster instance folder, its ``dagster.yaml`` linked to the project's."""
    folder = home() / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "dagster.yaml"
    if not link.exists():
        set_link(link, PROJECT_FILES / "dagster.yaml")
    return folder


def up_state() -> Path:
    """The state file of `make up` over this home: its addresses and processes."""
    return home() / "up" / "state.json"


def running_state(file: Path, key: str) -> Any | None:
    """The value under a key in the state file of a running command; None when it does not run."""
    try:
        state = json.loads(file.read_text())
        os.kill(state["pid"], 0)  # what a machine that went down left is not removed
        return state[key]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def running_ui() -> str | None:
    """The Dagster UI's address of the `make up` that runs over this home."""
    address = running_state(up_state(), "dagster")
    return None if address is None else str(address)


def dagster_home_in_use() -> Path:
    """``$DAGSTER_HOME``, else the one in ``home()``, by a usable path."""
    configured = os.environ.get("DAGSTER_HOME")
    return usable_path(Path(configured)) if configured else dagster_home()
