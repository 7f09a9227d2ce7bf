"""Which files were accepted so far, their rows and their sums."""
