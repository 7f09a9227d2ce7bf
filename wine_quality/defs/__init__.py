"""All that Dagster shows: assets, checks, jobs, schedules, sensors and resources, by subject.

A module that defines an asset or a sensor has its name. Only ``cli`` and ``definitions`` import
from here.
"""
