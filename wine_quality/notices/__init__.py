"""Notices of failed runs and new champions, through channels that can be picked."""
