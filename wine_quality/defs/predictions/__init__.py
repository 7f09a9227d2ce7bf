"""Batch predictions: files of rows scored by the champion, and how far they were off."""
