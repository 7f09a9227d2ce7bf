"""Dagster in use by several layers: its private API, config classes, run tags, the instance.

``dagster_private`` is the only module that imports private names of Dagster.
"""
