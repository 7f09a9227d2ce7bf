"""Alembic's folder: ``env.py``, and in ``versions`` a file for each revision."""
