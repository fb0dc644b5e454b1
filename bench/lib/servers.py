"""The processes: the stand-in for Gemini, the service on its two hosts, and what it is compared with.

In: where to call Gemini. Out: a running server with its address and the id of the process to measure. Never
here: a process that outlives the benchmark; each is ended and waited for by the stack that it was entered into.
"""

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass

from . import machine

MASTER_KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
ADMIN_PASSWORD = "correct horse battery staple"
BASELINES = machine.ROOT / "bench" / "baselines"
# What the JavaScript baselines know: one Gemini key, and the hash of one client key.
GEMINI_KEY = "AIzaSyBench-baseline-00000000000000000000"
CLIENT_KEY = "sk-baseline-0123456789abcdefghijklmnopqrstuv"
CLIENT_KEY_SHA256 = hashlib.sha256(CLIENT_KEY.encode()).hexdigest()
# The level that a deployment has which names none.
LOG_LEVEL = "info"


@dataclass
class Server:
    """A running server."""

    url: str
    # The process whose time and memory count.
    pid: int
    _runner: subprocess.Popen

    def stop(self):
        """Ends it. Closing its input ends the launcher of workerd, and with it workerd."""
        if self._runner.stdin:
            self._runner.stdin.close()
        else:
            self._runner.terminate()
        try:
            self._runner.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self._runner.kill()
            self._runner.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def _start(command, cpus, environment=None, stdin=None):
    runner = subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        stdin=stdin,
        stdout=subprocess.PIPE,
        # The request log, of no use here and many megabytes long.
        stderr=None if os.environ.get("BENCH_STDERR") else subprocess.DEVNULL,
        text=True,
    )
    machine.pin(runner.pid, cpus)
    return runner


def _greeted(runner, name):
    line = runner.stdout.readline()
    if not line:
        runner.wait()
        raise RuntimeError(f"{name} did not start (exit code {runner.returncode}); BENCH_STDERR=1 shows why")
    return line.strip()


def _program(name):
    path = machine.TARGET / "release" / name
    if not path.exists():
        raise RuntimeError(f"{path} is missing: `make bench` builds it")
    return path


def fake_gemini():
    """The stand-in, with no scenario yet."""
    runner = _start([_program("examples/fake_gemini"), "--port", "0"], machine.LOAD_CPUS)
    return Server(_greeted(runner, "fake_gemini"), runner.pid, runner)


def pool_server(gemini_url, data, log_level=LOG_LEVEL):
    """The native service, its state in the folder `data`."""
    environment = {
        "MASTER_KEY": MASTER_KEY,
        "ADMIN_PASSWORD": ADMIN_PASSWORD,
        "GEMINI_BASE_URL": gemini_url,
        "DATA_DIR": str(data),
        "PORT": "0",
        "LOG_LEVEL": log_level,
    }
    runner = _start([_program("pool-server")], machine.SERVER_CPUS, environment)
    return Server(_greeted(runner, "pool-server").split()[-1], runner.pid, runner)


def forwarder(gemini_url):
    """The native baseline: `bench/baselines/forwarder.rs`."""
    runner = _start([_program("forwarder"), gemini_url], machine.SERVER_CPUS)
    return Server(_greeted(runner, "forwarder"), runner.pid, runner)


def _workerd(options):
    runner = _start(
        ["node", machine.ROOT / "worker/tests/workerd/serve.mjs"], machine.LOAD_CPUS, stdin=subprocess.PIPE
    )
    runner.stdin.write(json.dumps(options) + "\n")
    runner.stdin.flush()
    url = json.loads(_greeted(runner, "workerd"))["url"]
    # Only workerd is the server under test; its launcher stays with the load.
    pid = machine.child(runner.pid, "workerd")
    machine.pin(pid, machine.SERVER_CPUS)
    return Server(url, pid, runner)


def worker(gemini_url, data, log_level=LOG_LEVEL, **options):
    """The service in workerd with a local D1 and ledger, its state in the folder `data`."""
    bindings = {
        "MASTER_KEY": MASTER_KEY,
        "ADMIN_PASSWORD": ADMIN_PASSWORD,
        "GEMINI_BASE_URL": gemini_url,
        "LOG_LEVEL": log_level,
    }
    return _workerd({"bindings": bindings, "d1": True, "objects": ["Ledger", "Config", "Egress"], "persist": str(data)} | options)


def javascript(name, gemini_url, **options):
    """A JavaScript baseline in workerd: `bench/baselines/NAME.js`."""
    bindings = {"GEMINI_BASE_URL": gemini_url, "GEMINI_KEY": GEMINI_KEY, "CLIENT_KEY_SHA256": CLIENT_KEY_SHA256}
    return _workerd({"bindings": bindings, "script": str(BASELINES / f"{name}.js")} | options)
