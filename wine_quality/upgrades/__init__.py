"""Takes the store of one MLflow version over to a newer one: a copy is upgraded, verified, and then
put in place.

Imports no MLflow: ``probe`` runs in the environment of a version, as a process of its own.
"""
