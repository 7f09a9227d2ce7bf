"""Upkeep of the platform: retention and purge of old runs, backup and restore."""
