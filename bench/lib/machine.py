"""The machine: where things are, which processors who gets, what a process has cost so far.

The server under test has one half of the processors to itself, the load and the stand-in for Gemini have the
other: otherwise the load would take from the server what it is to measure, and blur every ratio towards 1.
"""

import os
import platform
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Builds by the caller's CARGO_TARGET_DIR are found as well.
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
RESULTS = ROOT / "target" / "bench"

_CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPUS = set(_CPUS[: max(1, len(_CPUS) // 2)])
LOAD_CPUS = set(_CPUS[len(_CPUS) // 2 :])

_TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """User and system time of a process with all its threads, dead ones too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def age_seconds(pid):
    """How long ago a process was started, to the tick."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / _TICK


def resident_bytes(pid):
    """The memory of a process that is in use now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has ended")


def child(pid, name):
    """The child of a process that runs a program of this name."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for number in (task / "children").read_text().split():
            if Path(f"/proc/{number}/comm").read_text().strip() == name:
                return int(number)
    raise RuntimeError(f"process {pid} has no child {name}")


def pin(pid, cpus):
    """Moves all threads of a process; those to come inherit it."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            os.sched_setaffinity(int(task.name), cpus)
        except ProcessLookupError:
            pass


def _first_line(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return "missing"
    return ((done.stdout or done.stderr).strip().splitlines() or ["unknown"])[0]


def description():
    """What a reader of the figures wants to know of the machine and of what was measured."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    workerd = ROOT / "worker/node_modules/workerd/bin/workerd"
    return {
        "processor": f"{model}, {len(_CPUS)} processors",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "rustc": _first_line("rustc", "--version"),
        "workerd": _first_line(str(workerd), "--version"),
        "wrk": _first_line("wrk", "--version"),
        "revision": _first_line("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }


def load_average():
    """How busy the machine is with whatever else."""
    return os.getloadavg()[0]
