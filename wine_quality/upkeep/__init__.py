"""What keeps the platform small and recoverable: retention, purge, backup and restore."""
