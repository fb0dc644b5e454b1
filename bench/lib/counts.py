"""What is counted, not timed: the output of `quick-counts`, instructions by callgrind, the size of the Worker."""

import gzip
import json
import re
import subprocess

from . import machine

WASM = machine.ROOT / "worker/build/index_bg.wasm"



def _program(name):
    return str(machine.TARGET / "quick" / name)


def read():
    """Calls and allocations of each kind of request, and the bytes a key."""
    return json.loads(subprocess.run([_program("quick-counts")], capture_output=True, check=True).stdout)


def cases():
    """What `quick-work` can do."""
    done = subprocess.run([_program("quick-work")], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _collected(case, times):
    """The instructions of a program that does a case so often."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", _program("quick-work")]
    done = subprocess.run([*command, case, str(times)], capture_output=True, text=True, check=False)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise RuntimeError(f"callgrind on '{case}': {done.stderr[-1000:]}")
    return int(found[1])


def instructions(case):
    """The instructions of one time: what the program's start costs falls out of the difference."""
    few, many = 10, 20
    return (_collected(case, many) - _collected(case, few)) // (many - few)


def wasm_gzip_bytes():
    """The size of the Worker's wasm as it is uploaded; absent where it was not built."""
    return len(gzip.compress(WASM.read_bytes(), 9, mtime=0)) if WASM.exists() else None
