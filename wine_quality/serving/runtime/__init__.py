"""What runs in the serving environment; self-contained, for it is copied beside the model."""
