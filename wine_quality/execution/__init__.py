"""How runs get their processes: forked from one per MLflow version that has the libraries."""
