"""The key by which the code location signs the model versions that it registers.

``$WINE_QUALITY_SIGNING_KEY``, else the file that ``$WINE_QUALITY_SIGNING_KEY_FILE`` names, else
``signing.key`` in ``$WINE_QUALITY_HOME``, which is made when it is first needed. Several keys,
separated by commas or lines: the first one signs, all are accepted, so that a key can be replaced.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from wine_quality.escaping import ProjectError
from wine_quality.paths import home
from wine_quality.settings.runs import SIGNING_KEY as VARIABLE
from wine_quality.settings.runs import SIGNING_KEY_FILE as FILE_VARIABLE

SHORTEST = 32
"""Characters of a key: 128 bits in hexadecimal digits."""
_BYTES = 32


class SigningKeyError(ProjectError, RuntimeError):
    """No key can be used; the message names the variable to set."""


@dataclass(frozen=True)
class SigningKeys:
    """The first key signs; all of them are accepted.

    Attributes:
        origin: Where they come from, for messages.
    """

    keys: tuple[str, ...]
    origin: str

    @property
    def newest(self) -> str:
        return self.keys[0]


def signing_keys() -> SigningKeys:
    """The keys of this environment; the home's is made when there is none.

    Raises:
        SigningKeyError: they cannot be read or made, or one is too short.
    """
    given = VARIABLE.read().strip()
    if given:
        return SigningKeys(_keys_in(given, f"${VARIABLE}"), f"${VARIABLE}")
    named = FILE_VARIABLE.read().strip()
    path = Path(named) if named else key_file()
    try:
        if not named and not path.exists():
            _require_lasting_home()
            _make(path, secrets.token_hex(_BYTES))
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise SigningKeyError(
            f"the key that signs model versions cannot be read or made in {path}: {error}. Set "
            f"${VARIABLE} or ${FILE_VARIABLE}."
        ) from None
    return SigningKeys(_keys_in(text, str(path)), str(path))


def key_file() -> Path:
    """The home's own key."""
    return home() / "signing.key"


def key_id(key: str) -> str:
    """A name for the key that gives nothing of it away: 12 hex digits of an HMAC."""
    return hmac.new(key.encode(), b"wine_quality key id", hashlib.sha256).hexdigest()[:12]


def add_keys(text: str, origin: str, sign_with_them: bool) -> tuple[str, ...]:
    """Have the home's key file hold these keys too; all that it holds then.

    Those that were there stay accepted.

    Args:
        text: The keys, separated by commas or lines.
        origin: Where they come from, for messages.
        sign_with_them: Whether they go before those that were there.

    Raises:
        SigningKeyError: a key is too short.
    """
    path, given = key_file(), _keys_in(text, origin)
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / f".{path.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        there = _keys_in(path.read_text(), str(path)) if path.exists() else ()
        first, second = (given, there) if sign_with_them else (there, given)
        merged = tuple(dict.fromkeys((*first, *second)))
        if merged != there:
            _written(path, "\n".join(merged)).rename(path)
    return merged


def _require_lasting_home() -> None:
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise SigningKeyError(
            f"${VARIABLE} is not set. A pod's own key would be lost with the pod, and with it the "
            "trust in what it registered: put one into the secret wine-quality (openssl rand -hex "
            "32)."
        )


def _make(path: Path, key: str) -> None:
    """Make the file, unless somebody else did so in this moment; never half of it is seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = _written(path, key)
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def _written(path: Path, text: str) -> Path:
    """A file beside ``path``, for its owner's eyes only."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    return Path(name)


def _keys_in(text: str, origin: str) -> tuple[str, ...]:
    keys = tuple(key for key in re.split(r"[,\s]+", text) if key)
    if not keys:
        raise SigningKeyError(f"{origin} holds no key that could sign model versions.")
    _require_long(keys, origin)
    return keys


def _require_long(keys: tuple[str, ...], origin: str) -> None:
    if any(len(key) < SHORTEST for key in keys):
        raise SigningKeyError(
            f"a key in {origin} is shorter than {SHORTEST} characters, so that it could be "
            "guessed. Make one with: openssl rand -hex 32"
        )
