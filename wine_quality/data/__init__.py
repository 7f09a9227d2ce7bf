"""Reading the wines and holding them against the data contract."""
