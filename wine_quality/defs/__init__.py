"""All that Dagster shows: assets, checks, jobs, schedules, sensors and resources, by subject.

A module that defines an asset or a sensor has its name. What stands at the top level of a module
here is found by itself (``wine_quality.definitions``); resources are in ``resources``. Only ``cli``
and ``definitions`` import from here.
"""
