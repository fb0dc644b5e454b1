#!/usr/bin/env python3
"""The benchmarks: `make bench` builds what they need and calls this.

`run.py [--short] [GROUP...]` measures all groups of cases or some, prints the table, and keeps the raw results under
target/bench/. A whole run, not shortened, also writes docs/benchmarks.md.
"""

import argparse
import importlib
import sys
import time
from dataclasses import asdict

from lib import machine, report
from lib.suite import Settings, Suite

GROUPS = (
    "workerd_chat",
    "workerd_streams",
    "workerd_images",
    "client_disconnects",
    "store_calls",
    "native",
    "many_keys",
    "size_and_start",
    "ledger",
    "growth",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="only to see that everything works")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - set(GROUPS):
        parser.error(f"no group is called {', '.join(sorted(unknown))}")
    settings = Settings.short() if arguments.short else Settings.full()
    began = time.monotonic()
    run = {
        "date": time.strftime("%Y-%m-%d"),
        "settings": asdict(settings),
        "machine": machine.description(),
        "load_average": machine.load_average(),
        "groups": {},
        "plots": {},
    }
    for name in arguments.groups or GROUPS:
        group_began = time.monotonic()
        with Suite(settings) as suite:
            rows = [asdict(row) for row in importlib.import_module(f"groups.{name}").run(suite)]
        run["groups"][name] = {"rows": rows, "raw": suite.raw, "seconds": time.monotonic() - group_began}
        run["plots"] |= suite.plots
        tables = f"{report.measurements(rows)}\n{report.goals(rows)}"
        print(f"## {name} ({time.monotonic() - group_began:.0f} s)\n{tables}", flush=True)
    run["seconds"] = time.monotonic() - began
    whole = not arguments.groups and not arguments.short
    print(f"raw results: {report.keep(run, 'results.json' if whole else 'part.json')}")
    if whole:
        report.write(run)
        print("written: docs/benchmarks.md")
    missed = sum(row["met"] is False for group in run["groups"].values() for row in group["rows"])
    print(f"{missed} figures are not met")


if __name__ == "__main__":
    sys.exit(main())
