"""The sensor that closes runs nobody else could close, and retention."""
