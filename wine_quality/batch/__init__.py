"""Batch predictions of any model as parts of Dagster's assets and checks: files scored by a
champion, and how far off it was. The wines' own and those of model graphs are made of these.
"""
