"""The declaration of a model family."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel

from wine_quality.escaping import ShownError
from wine_quality.tables.dataset import DeclarationError, Task, declared_names, find_declared

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from wine_quality.models.elastic_net.moments import Moments

DECLARED = "wine_quality.families.declared"

Build = Callable[[Task, Any], Any]
FromSums = Callable[[Any, "Moments"], Any]
Draw = Callable[["Measured"], Mapping[str, "Figure"]]


class FamilyMissingError(ShownError, RuntimeError):
    """A family needs a package that is missing here; the message explains how to add it."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A fitted model and the rows that it is held against, for plots.

    Attributes:
        model: With scikit-learn's interface.
        rows: Its features, (n, k).
        actual: The target of these rows, (n,).
        target: Its name.
    """

    model: Any
    rows: pd.DataFrame
    actual: pd.Series
    target: str


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        name: Of its module.
        title: For people, such as ``random forest``.
        tasks: That it can do.
        hyperparameters: A pydantic model: each field with its type, default, range and
            description. They are the fields of run config.
        build: An estimator with scikit-learn's interface, not fitted yet, of a task and an
            instance of ``hyperparameters``.
        grid: Values to try in a sweep, by the name of the hyperparameter.
        trusted_types: Full names of the types that a model of this family holds and skops does not
            trust by itself.
        requirements: Names of packages that a model of it needs besides scikit-learn.
        draw: Plots that suit it, by file name without suffix.
        from_sums: The fitted estimator of an instance of ``hyperparameters`` and the moments of all
            rows (features, then the target), for regression; None: a fit needs the rows.
    """

    name: str
    title: str
    tasks: frozenset[Task]
    hyperparameters: type[BaseModel]
    build: Build
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    trusted_types: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    draw: Draw = lambda _measured: {}
    from_sums: FromSums | None = None

    def __post_init__(self) -> None:
        unknown = set(self.grid) - set(self.hyperparameters.model_fields)
        if unknown:
            raise DeclarationError(
                f"family {self.name}: the grid has {sorted(unknown)}, which are "
                "no hyperparameters of it"
            )

    def require_task(self, task: Task) -> None:
        """Raises ``DeclarationError`` unless the family can do the task."""
        if task not in self.tasks:
            able = " and ".join(sorted(one.value for one in self.tasks))
            raise DeclarationError(f"{self.title} does {able}, not {task.value}")

    def require_from_sums(self, engine: str) -> FromSums:
        """``from_sums``.

        Args:
            engine: That makes sums, for the message.

        Raises:
            DeclarationError: a fit needs the rows; it names the families that can do without.
        """
        if self.from_sums is None:
            *others, last = (one.title for one in _families() if one.from_sums)
            raise DeclarationError(
                f"{self.title} cannot be trained from sums, which is all that the engine {engine} "
                f"makes of the rows; {', '.join(others)} and {last} can. Set "
                'resources.training_engine.config.engine to "in_memory".'
            )
        return self.from_sums

    def fit(self, task: Task, hyperparameters: BaseModel, rows: pd.DataFrame, target: str) -> Any:
        """An estimator, fitted on all columns of ``rows`` but the target.

        Raises:
            FamilyMissingError: its package is not installed here.
        """
        return self.build(task, hyperparameters).fit(rows.drop(columns=target), rows[target])

    def points(self, base: BaseModel) -> list[BaseModel]:
        """Each combination of the grid's values, with what the grid does not name as in ``base``.

        Without a grid: ``base`` alone.
        """
        given = base.model_dump()
        return [
            self.hyperparameters(**{**given, **dict(zip(self.grid, values, strict=True))})
            for values in itertools.product(*self.grid.values())
        ]


def find_family(name: str) -> Family:
    """The package's family of this name (``random_forest``), or the one of a project's own module
    (``my_project.forests:FAMILY``).

    Raises:
        DeclarationError: there is none.
    """
    return cast(Family, find_declared(name, DECLARED, "FAMILY", Family))


def types_of_families() -> list[str]:
    """Types that models hold of the package's families."""
    return [one for family in _families() for one in family.trusted_types]


def packages_of_families() -> list[str]:
    """Names of packages that the package's families need besides scikit-learn."""
    return [one for family in _families() for one in family.requirements]


def _families() -> list[Family]:
    return [find_family(name) for name in declared_names(DECLARED)]
