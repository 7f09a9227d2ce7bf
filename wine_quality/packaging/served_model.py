"""A registered version as it is served: columns, packages and file, read from its own files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wine_quality.environments.mlflow_versions import MODEL_PACKAGES
from wine_quality.escaping import ShownError
from wine_quality.families.family import packages_of_families

# MLflow's column types and the V2 protocol's.
_DATATYPES = {
    "double": "FP64",
    "float": "FP32",
    "long": "INT64",
    "integer": "INT32",
}
_EXAMPLE = "input_example.json"


class UnservableModelError(ShownError, ValueError):
    """The version cannot be served as it is; the message gives the reason and what to do."""


@dataclass(frozen=True)
class ServedModel:
    """One registered version.

    Attributes:
        mlflow_version: Of the client that logged it, such as ``2.1.1``.
        python: ``major.minor`` of the interpreter that trained it.
        file: The estimator's, such as ``model.skops``.
        serialization: ``skops``, ``cloudpickle`` or ``pickle``.
        columns: Name and V2 datatype of each input, in the signature's order.
        packages: Version of each of ``MODEL_PACKAGES``, and of what families need besides, that it
            was trained with.
        example: Rows logged with the model, in the order of ``columns``; may be empty.
        trusted_types: Full names of the types that a skops file holds and skops does not trust by
            itself, as the model says. Whether they may be loaded is checked before.
    """

    name: str
    version: str
    run_id: str
    mlflow_version: str
    python: str
    file: str
    serialization: str
    columns: tuple[tuple[str, str], ...]
    packages: tuple[tuple[str, str], ...]
    example: tuple[tuple[float, ...], ...]
    trusted_types: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.columns]

    def request(self, rows: list[list[float]]) -> dict[str, Any]:
        """The V2 request for these rows."""
        return {
            "inputs": [
                {
                    "name": name,
                    "shape": [len(rows)],
                    "datatype": datatype,
                    "data": [row[position] for row in rows],
                }
                for position, (name, datatype) in enumerate(self.columns)
            ]
        }


def read_model(folder: Path, name: str, version: str, run_id: str) -> ServedModel:
    """From the files that MLflow keeps of a version: ``MLmodel`` and those it names.

    Raises:
        UnservableModelError: they are damaged, are not a scikit-learn model, or have no signature
            of numeric columns.
    """
    import yaml

    title = f"{name} version {version}"
    try:
        described = yaml.safe_load((folder / "MLmodel").read_text())
        flavors = dict(described["flavors"])
        sklearn = flavors.get("sklearn")
        if sklearn is None:
            raise UnservableModelError(
                f"{title} is not a scikit-learn model (flavors: {', '.join(flavors)}); only "
                "those can be served"
            )
        file = str(sklearn["pickled_model"])
        if Path(file).name != file or file == "..":
            raise UnservableModelError(
                f"{title}: its estimator lies outside of its folder ({file!r})"
            )
        return ServedModel(
            name=name,
            version=version,
            run_id=run_id,
            mlflow_version=str(described.get("mlflow_version", "")),
            python=".".join(str(flavors["python_function"]["python_version"]).split(".")[:2]),
            file=file,
            serialization=str(sklearn["serialization_format"]),
            columns=_columns(described.get("signature"), title),
            packages=_packages(folder / "requirements.txt", title),
            example=_example(folder / _EXAMPLE),
            trusted_types=tuple(map(str, sklearn.get("skops_trusted_types") or ())),
        )
    except UnservableModelError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise UnservableModelError(
            f"{title}: its MLmodel file cannot be read ({error!r})"
        ) from error


def _columns(signature: Any, title: str) -> tuple[tuple[str, str], ...]:
    if not signature or not signature.get("inputs"):
        raise UnservableModelError(
            f"{title} has no signature; log it with one and register it again"
        )
    columns = []
    for column in json.loads(signature["inputs"]):
        datatype = _DATATYPES.get(column.get("type", ""))
        if datatype is None or "name" not in column:
            raise UnservableModelError(
                f"{title}: its signature has {column}; only named numeric columns can be served"
            )
        columns.append((str(column["name"]), datatype))
    return tuple(columns)


def _packages(file: Path, title: str) -> tuple[tuple[str, str], ...]:
    try:
        lines = file.read_text().splitlines()
    except OSError as error:
        raise UnservableModelError(f"{title} has no requirements.txt ({error})") from error
    pins = dict(line.split("==", 1) for line in map(str.strip, lines) if "==" in line)
    known = (*MODEL_PACKAGES, *packages_of_families())
    found = tuple((name, pins[name]) for name in known if name in pins)
    if "scikit-learn" not in pins:
        raise UnservableModelError(
            f"{title}: its requirements.txt pins no scikit-learn, so its environment cannot be "
            "made again"
        )
    return found


def _example(file: Path) -> tuple[tuple[float, ...], ...]:
    try:
        rows = json.loads(file.read_text())["data"]
        return tuple(tuple(float(value) for value in row) for row in rows)
    except (OSError, ValueError, KeyError, TypeError):
        return ()
