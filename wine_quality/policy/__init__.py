"""Rules on what run config may name, by the settings of the environment. ``fields`` lists every
field that takes text and its check; the other modules are the checks. Neither Dagster nor MLflow
here."""
