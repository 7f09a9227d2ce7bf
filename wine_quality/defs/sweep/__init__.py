"""The hyperparameter sweep: its asset and its job."""
