"""The pluggable MLflow tracker: one narrow interface, a back end per MLflow API."""
