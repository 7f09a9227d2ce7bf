"""The pluggable MLflow tracker: one narrow interface, a back end per MLflow API.

Knows no wine, no asset and no model family.
"""
