"""As Dagster's scaffold writes it: loads all that lies in ``diabetes_project/defs``."""

from pathlib import Path

import dagster as dg

defs = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
