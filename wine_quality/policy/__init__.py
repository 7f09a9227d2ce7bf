"""What run config may reach, by the settings of the environment. ``fields`` lists every field that
takes text and what holds it; the other modules are the checks. Neither Dagster nor MLflow here."""
