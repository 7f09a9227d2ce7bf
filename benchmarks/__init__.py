"""``make bench``: one module per subject, each prints ratios or medians of one session."""
