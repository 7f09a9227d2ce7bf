"""Copies what one MLflow server or embedded store has to another one, of another version or not.

Each side is asked by its own client, by ``worker`` in the environment of its version; the processes
hand over a run at a time as a folder of JSON and files. May import ``upgrades`` and all below it.
"""
