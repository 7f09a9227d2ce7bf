"""``make audit``: pip-audit over every lock file, less the findings that are accepted.

Accepted are those in ``deploy/requirements/accepted-findings.toml``, each for the lock files named
and with its reason. Any other fails the audit, and so does a package that could not be asked about.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wine_quality.supply_chain.locks import FOLDER, lock_files

ACCEPTED = FOLDER / "accepted-findings.toml"
_LOCK_SECONDS = 600


@dataclass(frozen=True)
class Accepted:
    """A finding that is known and lived with.

    Attributes:
        ids: Its name and aliases, such as PYSEC-2023-29 and CVE-2023-1177.
        locks: Stems of the lock files, such as ``mlflow-1.26``.
        reason: Why it does no harm here.
    """

    ids: tuple[str, ...]
    package: str
    locks: tuple[str, ...]
    reason: str

    def covers(self, lock: str, package: str, ids: Sequence[str]) -> bool:
        return lock in self.locks and package == self.package and bool({*self.ids} & {*ids})


@dataclass(frozen=True)
class Result:
    """The result of the audit of one lock file, as lines to print."""

    accepted: list[str]
    findings: list[str]
    unknown: list[str]


def read_accepted(file: Path = ACCEPTED) -> list[Accepted]:
    """Raises ``ValueError`` for an entry that lacks something, or names no lock file."""
    import tomllib

    known = {lock.stem for lock in lock_files()}
    found = []
    for entry in tomllib.loads(file.read_text())["finding"]:
        one = Accepted(
            tuple(entry.get("ids", ())),
            entry.get("package", ""),
            tuple(entry.get("locks", ())),
            entry.get("reason", "").strip(),
        )
        if not (one.ids and one.package and one.locks and one.reason):
            raise ValueError(f"{file}: {entry} needs ids, package, locks and a reason")
        if set(one.locks) - known:
            raise ValueError(f"{file}: there is no lock {sorted(set(one.locks) - known)}")
        found.append(one)
    return found


def judge(lock: str, report: dict[str, Any], accepted: Sequence[Accepted]) -> Result:
    """Sort the findings of pip-audit for a lock file.

    Args:
        report: Its report: ``dependencies`` with ``vulns``, or a ``skip_reason``.
    """
    result = Result([], [], [])
    for package in report["dependencies"]:
        if "skip_reason" in package:
            result.unknown.append(f"{package['name']}: {package['skip_reason']}")
            continue
        for finding in package["vulns"]:
            ids = [finding["id"], *finding.get("aliases", ())]
            fixed = ", ".join(finding.get("fix_versions", ())) or "no release"
            line = f"{package['name']} {package['version']}: {' '.join(ids)}, fixed in {fixed}"
            if any(one.covers(lock, package["name"], ids) for one in accepted):
                result.accepted.append(line)
            else:
                result.findings.append(line)
    return result


def ask(lock: Path) -> dict[str, Any]:
    """The report of pip-audit for a lock file, from JSON; nothing is installed.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"]
    command += ["--requirement", str(lock), "--format", "json", "--aliases", "on"]
    command += ["--progress-spinner", "off", "--timeout", "30"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_LOCK_SECONDS)
    try:
        return json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise RuntimeError(f"{lock.name}: pip-audit failed: {last}") from None


def main() -> int:
    """0 when all is well, 1 when something is found, 2 when not all could be asked about."""
    accepted = read_accepted()
    findings, unknown = 0, 0
    for lock in lock_files():
        try:
            result = judge(lock.stem, ask(lock), accepted)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"{lock.stem}: {error}", file=sys.stderr)
            unknown += 1
            continue
        print(
            f"{lock.stem}: {len(result.findings)} found, {len(result.accepted)} accepted, "
            f"{len(result.unknown)} not known to the index"
        )
        for line in result.findings:
            print(f"  {line}")
        for line in result.unknown[:3]:
            print(f"  {line}", file=sys.stderr)
        findings += len(result.findings)
        unknown += len(result.unknown)
    if findings:
        print(
            f"{findings} finding(s): raise the pins and compile the locks again, or add them to "
            f"{ACCEPTED} with a reason.",
            file=sys.stderr,
        )
        return 1
    if unknown:
        print(
            f"{unknown} package(s) could not be asked about: the index used here does not answer "
            "for vulnerabilities of single releases. Run it where pypi.org is reached.",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
