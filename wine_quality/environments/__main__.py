"""``python3 -m wine_quality.environments`` builds environments.

``build VERSION… [--dev|--stack] [--spark] [--with FILE]``, ``list``, ``add VERSION``,
``tools NAME``, or ``share``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wine_quality.environments.build import build, is_current, locks_of_all
from wine_quality.environments.extra_packages import add_packages
from wine_quality.environments.install import BuildError
from wine_quality.environments.interpreters import InterpreterMissingError
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, get_version
from wine_quality.environments.tools import tools_python
from wine_quality.terminal import escape_unprintable


def main() -> int:
    parser = argparse.ArgumentParser(prog="wine_quality.environments", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build environments that are not up to date")
    building.add_argument("versions", nargs="+", help=f"{', '.join(MLFLOW_VERSIONS)} or all")
    building.add_argument("--dev", action="store_true", help="with the test and lint tools")
    building.add_argument("--stack", action="store_true", help="with the servers of `make stack`")
    building.add_argument("--spark", action="store_true", help="with PySpark; it needs Java")
    building.add_argument(
        "--with",
        dest="requirements",
        type=Path,
        metavar="FILE",
        help="with the packages of a requirements file, now and in each later build",
    )
    building.add_argument(
        "--keep-going", action="store_true", help="pass over versions no Python is here for"
    )
    commands.add_parser("list", help="show the versions and whether they are built")
    adding = commands.add_parser("add", help="make another MLflow version selectable")
    adding.add_argument("version", help="all of it, such as 2.22.5")
    tools = commands.add_parser("tools", help="build the environment of a lock file of tools")
    tools.add_argument("name", choices=["docs", "bench"])
    commands.add_parser(
        "share", help="store files once that environments of an image have in common"
    )
    options = parser.parse_args()
    if options.command == "tools":
        return _build_tools(options.name)
    if options.command == "add":
        return _add(options.version)
    if options.command == "share":
        return _share()
    if options.command == "list":
        for version in MLFLOW_VERSIONS.values():
            state = "built" if is_current(version, dev=False) else f"({version.build_command})"
            print(f"{version.key:<8} {state}")
        return 0
    keys = list(MLFLOW_VERSIONS) if "all" in options.versions else options.versions
    for key in keys:
        try:
            version = get_version(key)
            if options.requirements is not None:
                add_packages(version, options.requirements, locks_of_all(version))
            build(version, options.dev, options.stack, options.spark)
        except InterpreterMissingError as error:
            print(f"MLflow {key}: {error}", file=sys.stderr)
            if not options.keep_going:
                return 1
        except BuildError as error:
            print(error, file=sys.stderr)
            return 1
        except (RuntimeError, ValueError, OSError) as error:
            print(f"MLflow {key} was not built: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(f"Interrupted: MLflow {key} is not built.", file=sys.stderr)
            return 130
    return 0


def _add(key: str) -> int:
    # Not at the top: each `make run` begins with this module.
    from wine_quality.environments.add_version import main as add_version

    try:
        add_version(key)
    except (RuntimeError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: nothing was added.", file=sys.stderr)
        return 130
    return 0


def _share() -> int:
    from wine_quality.environments.share_files import share_files

    saved = share_files(version.directory for version in MLFLOW_VERSIONS.values())
    print(f"{saved / 1e6:.0f} MB are stored once less.")
    return 0


def _build_tools(name: str) -> int:
    try:
        tools_python(name)
    except (InterpreterMissingError, BuildError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    escape_unprintable()
    sys.exit(main())
