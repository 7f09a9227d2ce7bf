"""Model families: hyperparameters, estimator, serialization, plots and sweep grid, one module each
in ``declared``; and the metrics by which models of a task are measured.

Imports neither Dagster nor MLflow; scikit-learn inside functions only.
"""
