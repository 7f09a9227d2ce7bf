"""The revisions of the metrics history, oldest first by number."""
