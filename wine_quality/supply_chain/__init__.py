"""Known vulnerabilities and bills of materials of the locked environments."""
