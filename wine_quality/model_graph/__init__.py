"""The whole Dagster graph of a model, for a data set and a model family: as a function and as a
component of Dagster's, both public. Imports ``tracking_api``, ``families`` and ``tables``, and
nothing of the red wines' own graph.
"""

from wine_quality.model_graph.component import TrackedModelComponent
from wine_quality.model_graph.graph import MlflowSettings, model_definitions

__all__ = ["MlflowSettings", "TrackedModelComponent", "model_definitions"]
