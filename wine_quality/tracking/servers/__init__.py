"""The MLflow servers of a run: addresses, embedded stores, links, the check before a run."""
