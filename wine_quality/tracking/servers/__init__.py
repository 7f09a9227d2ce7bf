"""Which MLflow server is meant: addresses, embedded stores, links, the check before a run."""
