"""What the locked environments are made of: known vulnerabilities, and bills of materials."""
