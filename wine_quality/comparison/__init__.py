"""Runs of several MLflow versions and servers side by side: found, read, shown.

Each run is read by the client of its own version, in that version's environment.
"""
