"""Registered models: versions, roles (champion, challenger), signatures."""
