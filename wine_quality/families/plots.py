"""Plots of any model on rows held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from wine_quality.models.plots import new_figure
from wine_quality.tables.dataset import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wine_quality.families.family import Measured

COLOR = "#1f5a8c"
_SHOWN = 20


def draw_coefficients(measured: Measured) -> Mapping[str, Figure]:
    """Coefficients of a linear model, or of the one at the end of a pipeline."""
    import numpy as np

    model = measured.model
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    weights = np.atleast_2d(last.coef_)
    if len(weights) > 1:  # one row for each class
        weights = np.abs(weights).mean(axis=0, keepdims=True)
    return {"coefficients": _bars("Coefficients", list(measured.rows.columns), weights[0])}


def draw_importances(measured: Measured) -> Mapping[str, Figure]:
    """Importances in a forest: how much each column lowers the impurity."""
    names, values = list(measured.rows.columns), measured.model.feature_importances_
    return {"importances": _bars("Importances", names, values)}


def draw_permutation(measured: Measured) -> Mapping[str, Figure]:
    """Importances in any model: how much its score drops when a column is shuffled (1000 rows)."""
    from sklearn.inspection import permutation_importance

    rows, actual = measured.rows.head(1000), measured.actual.head(1000)
    found = permutation_importance(measured.model, rows, actual, n_repeats=3, random_state=0)
    values = found["importances_mean"]
    return {"importances": _bars("Importances by permutation", list(rows.columns), values)}


def draw_regression(measured: Measured) -> Mapping[str, Figure]:
    """Predicted against actual, and the errors."""
    actual, predicted = measured.actual.to_numpy(), measured.model.predict(measured.rows)
    figure, axes = new_figure(f"Predicted against actual {measured.target}", left=0.14)
    axes.scatter(actual, predicted, s=14, alpha=0.3, color=COLOR, edgecolors="none")
    ends = [min(actual.min(), predicted.min()), max(actual.max(), predicted.max())]
    axes.plot(ends, ends, color="grey", linewidth=1, linestyle="--")
    axes.set(xlabel=f"Actual {measured.target}", ylabel=f"Predicted {measured.target}")
    errors, its_axes = new_figure("Residuals", left=0.14)
    its_axes.hist(actual - predicted, bins=30, color=COLOR, alpha=0.8)
    its_axes.set(xlabel=f"Actual minus predicted {measured.target}", ylabel="Held-out rows")
    return {"predicted_against_actual": figure, "residuals": errors}


def draw_classification(measured: Measured) -> Mapping[str, Figure]:
    """The confusion matrix; of two classes the ROC curve too."""
    import numpy as np
    from sklearn.metrics import confusion_matrix, roc_curve

    labels = list(measured.model.classes_)
    counts = confusion_matrix(measured.actual, measured.model.predict(measured.rows), labels=labels)
    figure, axes = new_figure("Confusion matrix", left=0.14)
    axes.imshow(counts, cmap="Blues")
    axes.grid(False)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if count > counts.max() / 2 else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=color)
    axes.set_xticks(range(len(labels)), [str(label) for label in labels])
    axes.set_yticks(range(len(labels)), [str(label) for label in labels])
    axes.set(xlabel="Predicted", ylabel="Actual")
    found = {"confusion_matrix": figure}
    if len(labels) == 2 and measured.actual.nunique() == 2:
        likely = measured.model.predict_proba(measured.rows)[:, 1]
        wrong, right, _ = roc_curve(measured.actual, likely, pos_label=labels[1])
        found["roc_curve"], roc_axes = new_figure("ROC curve", left=0.14)
        roc_axes.plot(wrong, right, color=COLOR)
        roc_axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
        roc_axes.set(xlabel="False positives (share)", ylabel="True positives (share)")
    return found


def draw(task: Task, measured: Measured) -> Mapping[str, Figure]:
    """The plots for any model of a task."""
    return (draw_regression if task is Task.regression else draw_classification)(measured)


def _bars(title: str, names: Sequence[str], values: Sequence[float]) -> Figure:
    """The largest twenty, largest first."""
    pairs = sorted(zip(names, values, strict=True), key=lambda pair: -abs(pair[1]))[:_SHOWN]
    figure, axes = new_figure(title, left=0.28)
    axes.barh([str(name) for name, _ in pairs], [float(value) for _, value in pairs], color=COLOR)
    axes.axvline(0, color="grey", linewidth=1)
    axes.invert_yaxis()
    return figure
