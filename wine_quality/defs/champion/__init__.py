"""``champion_model``, and the jobs that promote and roll back."""
