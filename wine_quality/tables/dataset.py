"""The declaration of a data set: columns, target and task."""

from __future__ import annotations

import enum
import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from wine_quality.escaping import ShownError

DECLARED = "wine_quality.tables.declared"
SAMPLES = Path(__file__).parent / "samples"


class DeclarationError(ShownError, ValueError):
    """A data set or family that cannot be used as declared; the message explains what to do."""


class Task(enum.Enum):
    """The kind of prediction: a number, or one of several classes."""

    regression = "regression"
    classification = "classification"


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: As in the file's header.
        dtype: ``float``, ``int`` or ``text``. Models train on numbers; a text column divides
            the rows into segments, or identifies a row.
        minimum: Least value that a row may have, inclusive.
        maximum: Greatest value, inclusive.
        unit: For people.
        description: For people.
        values: Those that a text column may have; empty: any.
    """

    name: str
    dtype: str = "float"
    minimum: float = -math.inf
    maximum: float = math.inf
    unit: str = ""
    description: str = ""
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if self.dtype not in ("float", "int", "text"):
            raise DeclarationError(
                f"column {self.name!r} has the type {self.dtype!r}; it must be float, int or text"
            )
        if self.minimum > self.maximum:
            raise DeclarationError(
                f"column {self.name!r}: minimum {self.minimum:g} is over maximum {self.maximum:g}"
            )


@dataclass(frozen=True)
class Dataset:
    """A table, and which of its columns is predicted from the others.

    Attributes:
        name: For people and lineage.
        columns: All that a file has, in the order that rows are kept in.
        target: Name of the column that is predicted: a number for regression, whole numbers that
            stand for classes for classification.
        task: Regression or classification.
        sample: A CSV or Parquet file that is read where no source is named.
        description: For people.
    """

    name: str
    columns: tuple[Column, ...]
    target: str
    task: Task
    sample: Path | None = None
    description: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "task", Task(self.task))
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DeclarationError(f"data set {self.name}: columns named twice: {twice}")
        if self.target not in names:
            raise DeclarationError(f"data set {self.name} has no column {self.target!r} (target)")
        wanted = ("int",) if self.task is Task.classification else ("float", "int")
        if self.by_name[self.target].dtype not in wanted:
            raise DeclarationError(
                f"data set {self.name}: for {self.task.value} the target {self.target!r} must be "
                f"of type {' or '.join(wanted)}"
            )
        if not self.features:
            raise DeclarationError(f"data set {self.name} has no column of numbers but the target")

    @property
    def by_name(self) -> Mapping[str, Column]:
        return {column.name: column for column in self.columns}

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of numbers but for the target, in their order."""
        return tuple(
            one.name for one in self.columns if one.dtype != "text" and one.name != self.target
        )

    def segments(self, column: str) -> tuple[str, ...]:
        """The values of a text column, each of which gets a model of its own.

        Raises:
            DeclarationError: there is no such column, or it does not list its values.
        """
        found = self.by_name.get(column)
        if found is None or found.dtype != "text" or not found.values:
            raise DeclarationError(
                f"data set {self.name} cannot be divided by {column!r}: declare it as a column of "
                "type text that lists its values"
            )
        return found.values


def find_dataset(name: str) -> Dataset:
    """The package's data set of this name (``diabetes``), or the one of a project's own module
    (``my_project.data:CUSTOMERS``).

    Raises:
        DeclarationError: there is none.
    """
    return cast(Dataset, find_declared(name, DECLARED, "DATASET", Dataset))


def find_declared(name: str, package: str, attribute: str, kind: type) -> object:
    """A declaration by its name in a package, or by ``module:attribute``.

    Raises:
        DeclarationError: there is none; lists those of the package.
    """
    own_module, _, own_attribute = name.partition(":")
    module = own_module if own_attribute else f"{package}.{name}"
    title = kind.__name__.lower()
    if not own_attribute and name not in declared_names(package):
        raise DeclarationError(
            f"there is no {title} {name!r}. There are {', '.join(declared_names(package))}; one of "
            f"your own is named as module:attribute, such as my_project.models:{attribute}"
        )
    try:
        found = getattr(importlib.import_module(module), own_attribute or attribute)
    except (ModuleNotFoundError, AttributeError) as error:
        raise DeclarationError(f"the {title} {name!r} cannot be had: {error}") from error
    if not isinstance(found, kind):
        raise DeclarationError(f"{name} is a {type(found).__name__}, no {kind.__name__}")
    return found


def declared_names(package: str) -> Sequence[str]:
    """Names of the declarations of a package: its modules without a leading underscore."""
    folder = Path(importlib.import_module(package).__path__[0])
    return sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))
