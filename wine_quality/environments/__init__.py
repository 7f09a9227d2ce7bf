"""One locked Python environment per MLflow version: the table, the build, the interpreters.

Imports the standard library and ``wine_quality.paths`` only: it runs before anything is
installed.
"""
