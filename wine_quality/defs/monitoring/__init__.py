"""Checks on what the served model is asked and answers."""
