#!/usr/bin/env python3
"""Compares what can be counted instead of timed with bench/quick.json: `make bench-quick`.

Calls, subrequests and slopes must not grow. Allocations and sizes may grow by 5 %. Instructions are
printed and compared, and fail only beyond 25 %: they depend on the processor, the compiler and the C
library, so they are judged only with the compiler and library that they were counted with, on x86-64
with AVX2. With UPDATE_BENCH=1 the file is written anew.
"""

import json
import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from lib import counts, machine

_FILE = machine.ROOT / "bench" / "quick.json"
_TOLERANCE = 1.05
# Of counts that change with the machine and not only with the code.
_MACHINE_TOLERANCE = 1.25


def _tools():
    version = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    known = dict(line.split(": ", 1) for line in version.splitlines() if ": " in line)
    return f"rustc {known['release']} {known['host']}, {' '.join(platform.libc_ver())}"


def _has_avx2():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return platform.machine() == "x86_64" and any(line.startswith("flags") and " avx2" in line for line in file)


def _measure():
    found = counts.read()
    if _has_avx2():
        cases = counts.cases()
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for case, count in zip(cases, threads.map(counts.instructions, cases), strict=True):
                found[f"{case}: instructions"] = count
    else:
        print("instructions are not counted: this processor is not x86-64 with AVX2")
    if (size := counts.wasm_gzip_bytes()) is not None:
        found["wasm: bytes, gzip"] = size
    else:
        print("the size of the wasm is not measured: run `make bundle` first")
    return dict(sorted(found.items()))


def _worse(name, known, found):
    if "calls" in name or "subrequests" in name or "slope" in name:
        return found > known
    return found > known * (_MACHINE_TOLERANCE if name.endswith("instructions") else _TOLERANCE)


def main():
    tools, found = _tools(), _measure()
    if os.environ.get("UPDATE_BENCH"):
        known = json.loads(_FILE.read_text())["counts"] if _FILE.exists() else {}
        _FILE.write_text(json.dumps({"tools": tools, "counts": known | found}, indent=1) + "\n")
        print(f"written: {_FILE.relative_to(machine.ROOT)}")
        return 0
    committed = json.loads(_FILE.read_text())
    other_tools = committed["tools"] != tools
    if other_tools:
        print(f"instructions are not judged: counted with {committed['tools']}, here are {tools}")
    worse = 0
    for name, count in found.items():
        known = committed["counts"].get(name)
        verdict = ""
        if known is None:
            verdict = "NEW: run `make bench-quick UPDATE_BENCH=1`"
        elif _worse(name, known, count) and not (other_tools and name.endswith("instructions")):
            verdict = "WORSE"
        worse += bool(verdict)
        change = f"{(count / known - 1) * 100:+.1f} %" if known else ""
        print(f"{name:60} {count:>14,} {change:>9} {verdict}")
    if worse:
        print(f"{worse} counts are worse than bench/quick.json; to accept them: make bench-quick UPDATE_BENCH=1")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
