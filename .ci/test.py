#!/usr/bin/env python3
"""test.py [--ignored] SUITE...: builds the workspace's tests and runs suites of .config/tests.toml.

`cargo test` with what it lacks: a deadline for each test, a number of threads for each suite, and
retries that are reported. A process for each test, as cargo-nextest has it, would start Node and
Miniflare once for each of the 400 tests on workerd, which share one launcher here.

With --ignored only the tests marked `#[ignore]` run, which are those of the nightly job.
"""

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_FEATURES = "pool-worker/workerd,pool-worker/sdk,pool-worker/page"
_BUILD = ["--locked", "--workspace", "--features", _FEATURES]
# When libtest itself says that a test is slow. With one thread it prints a name when the test starts.
_NOTICE_S = 60
_STARTED = re.compile(r"^test (\S+)(?: - should panic)? \.\.\. ")
_FINISHED = re.compile(r"(?:^|\W)(ok|FAILED|ignored(?:, .*)?)$")
_SLOW = re.compile(r"^test (\S+) has been running for over 60 seconds$")
_FAILED = re.compile(r"^    (\S+)$")


def build():
    """Builds all test targets; returns (PACKAGE::TARGET, program, folder of the package)."""
    command = ["cargo", "test", "--no-run", "--message-format=json-render-diagnostics", *_BUILD]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    found = []
    for message in map(json.loads, filter(None, done.stdout.splitlines())):
        if message["reason"] == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
            folder = Path(message["manifest_path"]).parent
            package = tomllib.loads((folder / "Cargo.toml").read_text())["package"]["name"]
            found.append((f"{package}::{message['target']['name']}", message["executable"], folder))
    return sorted(found)


class Output:
    """Follows libtest's output: which tests run, which have passed, which have failed."""

    def __init__(self):
        self.running = {}
        self.passed = set()
        self.failed = set()
        self.slow = {}
        self.ended = False
        self._line = ""
        self._current = None
        self._listed = None

    def feed(self, text):
        """Takes a piece of output in."""
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._take(line)
        if self._current is None and (started := _STARTED.match(self._line)):
            self._current = started[1]
            self.running[started[1]] = time.monotonic()

    def _take(self, line):
        if slow := _SLOW.match(line):
            self.running.setdefault(slow[1], time.monotonic() - _NOTICE_S)
        elif line.startswith("test result: "):
            self.ended = True
            self.failed |= self._listed or set()
            self.passed -= self.failed
        elif line == "failures:":
            # Twice: before the outputs of the failed tests, then before their names.
            self._listed = set()
        elif self._listed is not None and (failed := _FAILED.match(line)):
            self._listed.add(failed[1])
        else:
            started = _STARTED.match(line)
            name = started[1] if started else self._current
            if name and (finished := _FINISHED.search(line)):
                self._finish(name, finished[1] == "FAILED")

    def _finish(self, name, has_failed):
        (self.failed if has_failed else self.passed).add(name)
        self._current = None
        seconds = time.monotonic() - self.running.pop(name, time.monotonic())
        if seconds > _NOTICE_S:
            self.slow[name] = seconds

    def overdue(self, timeout):
        """Returns the tests that have run for longer than `timeout` seconds."""
        return {name for name, since in self.running.items() if time.monotonic() - since > timeout}


def run_once(program, folder, timeout, arguments):
    """Runs a test program to its end or until a test is overdue; returns its output and those tests."""
    environment = os.environ | {"CARGO_MANIFEST_DIR": str(folder)}
    child = subprocess.Popen(
        [program, *arguments], cwd=folder, env=environment, stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL, start_new_session=True,
    )
    output, overdue = Output(), set()
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while not overdue:
                if selector.select(timeout=1):
                    if not (piece := os.read(child.stdout.fileno(), 65_536)):
                        break
                    sys.stdout.buffer.write(piece)
                    sys.stdout.flush()
                    output.feed(piece.decode(errors="replace"))
                elif child.poll() is not None:
                    # What it started may hold the pipe open.
                    break
                overdue = output.overdue(timeout)
    finally:
        # The whole group: nothing that a test started outlives it.
        with contextlib.suppress(ProcessLookupError):
            if overdue or sys.exc_info()[0]:
                os.killpg(child.pid, signal.SIGKILL)
        status = child.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    if not overdue and not output.ended:
        print(f"\n{program} ended with {status} before its tests did")
    return output, overdue


def names_of(program, folder):
    """Returns the names of all tests of a program."""
    done = subprocess.run([program, "--list", "--format", "terse"], cwd=folder, check=True,
                          stdout=subprocess.PIPE, text=True, timeout=60)
    return {line.removesuffix(": test") for line in done.stdout.splitlines() if line.endswith(": test")}


def run_target(target, suite, ignored, report):
    """Runs the tests of a target, the failed ones again as often as the suite says."""
    label, program, folder = target
    threads = [f"--test-threads={suite['threads'] or os.cpu_count()}"]
    options = threads + (["--ignored"] if ignored else [])
    names, left = None, None
    passed, failed = set(), {}
    while left is None or left:
        output, overdue = run_once(program, folder, suite["timeout"],
                                   options + (["--exact", *sorted(left)] if left else []))
        passed |= output.passed
        report["slow"] += [(f"{label} {name}", seconds) for name, seconds in output.slow.items()]
        failed |= {name: "failed" for name in output.failed}
        failed |= {name: f"killed after {suite['timeout']} s" for name in overdue}
        if output.ended:
            break
        # The others ran beside the one that was killed, or would have come after it. Failed ones are
        # among them: libtest prints their output only at its end.
        names = names or names_of(program, folder)
        left = (left or names) - output.passed - overdue
        if not overdue:
            crashed = set(output.running) or left
            failed |= {name: "crashed" for name in crashed}
            left -= crashed
    report["tests"] += len(passed | set(failed))
    for name, why in sorted(failed.items()):
        for attempt in range(suite["retries"]):
            print(f"==> {label} {name} {why}; running it again", flush=True)
            output, overdue = run_once(program, folder, suite["timeout"], [*options, "--exact", name])
            if output.ended and name in output.passed:
                report["flaky"].append(f"{label} {name}: {why}, then passed in run {attempt + 2}")
                break
        else:
            report["failed"].append(f"{label} {name}: {why}")


def summary(report, seconds):
    """Prints what did not go as it should; returns the exit code."""
    for name, duration in sorted(report["slow"], key=lambda entry: -entry[1]):
        print(f"SLOW   {name}: {duration:.0f} s")
    for text in report["flaky"]:
        print(f"FLAKY  {text}")
        if "GITHUB_ACTIONS" in os.environ:
            print(f"::warning title=Flaky test::{text}")
    for text in report["failed"]:
        print(f"FAILED {text}")
    counts = f"{len(report['failed'])} failed, {len(report['flaky'])} flaky, {len(report['slow'])} slow"
    print(f"==> {report['tests']} tests in {seconds:.0f} s: {counts}", flush=True)
    return 1 if report["failed"] else 0


def main():
    arguments = sys.argv[1:]
    ignored = "--ignored" in arguments
    wanted = [name for name in arguments if name != "--ignored"]
    suites = tomllib.loads((_ROOT / ".config/tests.toml").read_text())
    if not wanted or not set(wanted) <= set(suites):
        sys.exit(f"{__doc__}\nSuites: {', '.join(suites)}")
    named = {target: name for name, suite in suites.items() for target in suite.get("targets", [])}
    targets = build()
    if missing := set(named) - {label for label, *_ in targets}:
        sys.exit(f".config/tests.toml names targets that do not exist: {', '.join(sorted(missing))}")
    report = {"tests": 0, "slow": [], "flaky": [], "failed": []}
    began = time.monotonic()
    for name in wanted:
        for target in targets:
            if named.get(target[0], "unit") == name:
                print(f"==> {name}: {target[0]}", flush=True)
                run_target(target, suites[name], ignored, report)
        if name == "unit" and not ignored:
            command = ["cargo", "test", "--doc", "--quiet", *_BUILD]
            if subprocess.run(command, cwd=_ROOT, check=False).returncode:
                report["failed"].append("doc tests: failed")
    return summary(report, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
