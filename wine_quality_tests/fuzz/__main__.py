"""``make fuzz``: bad input for some minutes, other each time unless a seed is given.

Prints what each kind of input came to, and each finding with the seed that makes it again. Put what
it finds into ``data/bad_input``, or into a test of its own.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import time
import warnings
from collections import Counter

from wine_quality_tests.fuzz.targets import TARGETS, search

EXAMPLES = 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="wine_quality_tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, help="first seed (one is drawn)")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (10)")
    parser.add_argument("--only", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    number = random.randrange(10**6) if options.seed is None else options.seed
    print(f"seed {number}, {options.minutes:g} minutes", flush=True)
    counts: dict[str, Counter[str]] = {name: Counter() for name in options.only}
    findings: dict[tuple[str, str], str] = {}
    ends = time.monotonic() + options.minutes * 60
    while time.monotonic() < ends:
        for name in options.only:
            if time.monotonic() >= ends:
                break
            try:
                counts[name] += search(TARGETS[name], EXAMPLES, number)
            except Exception as error:
                counts[name]["FINDING"] += 1
                kind = (name, f"{type(error).__name__}: {error}"[:60])
                if kind in findings:
                    continue
                notes = "\n  ".join(getattr(error, "__notes__", []))
                findings[kind] = f"--seed {number} --only {name}"
                print(
                    f"FINDING {findings[kind]}\n  {type(error).__name__}: "
                    f"{str(error)[-1500:]}\n  {notes[:1500]}",
                    flush=True,
                )
        number += 1
    for name, outcomes in counts.items():
        text = ", ".join(f"{count} {word}" for word, count in outcomes.most_common())
        print(f"{name:<16} {sum(outcomes.values()):>6} inputs: {text}")
    total = sum(sum(outcomes.values()) for outcomes in counts.values())
    print(f"{total} inputs up to seed {number - 1}, {len(findings)} finding(s)")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
