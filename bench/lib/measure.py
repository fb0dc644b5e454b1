"""Measuring: one sample of a server under load, samples of several servers in turn, and their ratios.

A shared machine is faster at one moment than at the next. So what is compared takes turns (A B, B A, …), each
round gives a ratio of neighbours in time, and the median of those ratios is the figure.
"""

import json
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from . import machine
from .servers import Server

_SCRIPT = machine.ROOT / "bench" / "wrk.lua"


@dataclass
class Subject:
    """A server under load: which request it is sent, and by whom."""

    name: str
    server: Server
    path: str
    body: bytes
    # One header a line of the load; several client keys are used in turn.
    headers: list = field(default_factory=list)
    # How long what the server still does after its last answer counts as its cost: the service reports to its
    # ledger a second later.
    settle_s: float = 0.0
    # How many events Gemini's answer has, where it is streamed.
    events: int = 0


def bearer(*client_keys):
    """The headers of requests by these client keys."""
    return [f"authorization: Bearer {key}" for key in client_keys]


def _wrk(subject, connections, seconds):
    with tempfile.TemporaryDirectory() as folder:
        body, headers = Path(folder, "body"), Path(folder, "headers")
        body.write_bytes(subject.body)
        headers.write_text("".join(f"{line}\n" for line in subject.headers or ["accept: */*"]))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_SCRIPT)]
        command += [subject.server.url + subject.path, "--", str(body), str(headers)]
        runner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        machine.pin(runner.pid, machine.LOAD_CPUS)
        output, _ = runner.communicate()
    if runner.returncode:
        raise RuntimeError(f"wrk ended with {runner.returncode}: {output}")
    return json.loads(output.strip().splitlines()[-1])


def _events_sent(gemini, events):
    """The events that Gemini has sent so far, in streams that ended and in those that were broken off."""
    tally = gemini.tally()
    return tally["ok"] * events + tally["frames_left"]


def sample(subject, gemini, connections, seconds):
    """Puts a server under load once.

    Streams are counted by their events: what a load leaves unfinished at its end has cost something too.
    """
    server, upstream, events = subject.server.pid, gemini.server.pid, subject.events
    sent = _events_sent(gemini, events) if events else 0
    cpu, upstream_cpu = machine.cpu_seconds(server), machine.cpu_seconds(upstream)
    result = _wrk(subject, connections, seconds)
    busy = machine.cpu_seconds(server) - cpu
    upstream_busy = machine.cpu_seconds(upstream) - upstream_cpu
    if subject.settle_s:
        time.sleep(subject.settle_s)
    cost = machine.cpu_seconds(server) - cpu
    if any(result["errors"].values()):
        raise RuntimeError(f"{subject.name}: {result['requests']} answers, errors: {result['errors']}")
    done = (_events_sent(gemini, events) - sent) / events if events else result["requests"]
    return {
        "requests": done,
        "rps": done / result["seconds"],
        "p50_us": result["p50_us"],
        "p99_us": result["p99_us"],
        "cpu_us": cost / max(1, done) * 1e6,
        "server_busy": busy / result["seconds"] / len(machine.SERVER_CPUS),
        "upstream_busy": upstream_busy / result["seconds"] / len(machine.LOAD_CPUS),
        "upstream_cpu_us": upstream_busy / max(1, done) * 1e6,
        "resident": machine.resident_bytes(server),
    }


def _warm_up(subject, gemini, connections, settings):
    """Lets a server work until it no longer gets faster.

    V8 compiles what is hot, and for a Worker of some megabytes that goes on for seconds of processor time. A server that
    gets no processor on a busy machine is not waited for.
    """
    began, cpu, last = time.monotonic(), machine.cpu_seconds(subject.server.pid), None
    while time.monotonic() - began < settings.warm_at_most_s:
        found = sample(subject, gemini, connections, 1)
        worked = machine.cpu_seconds(subject.server.pid) - cpu
        if worked >= settings.warm_cpu_s and last and found["cpu_us"] > 0.95 * last:
            break
        last = found["cpu_us"] if found["requests"] else None


def alternate(subjects, gemini, connections, settings):
    """Samples of each subject, round by round, in changing order, after a warm-up of each."""
    for subject in subjects:
        _warm_up(subject, gemini, connections, settings)
    samples = {subject.name: [] for subject in subjects}
    for number in range(settings.rounds):
        for subject in subjects if number % 2 == 0 else subjects[::-1]:
            found = sample(subject, gemini, connections, settings.seconds)
            if not found["requests"]:
                raise RuntimeError(f"{subject.name} answered nothing in {settings.seconds} s")
            samples[subject.name].append(found)
    return samples


@dataclass
class Row:
    """A measurement and its goal. `met` is absent where there is no goal."""

    case: str
    measure: str
    ours: str
    baseline: str = ""
    ratio: str = ""
    required: str = ""
    met: bool | None = None
    subject: str = "service"


# The names of the service's two APIs in the tables.
SUBJECTS = {"ours": "OpenAI API", "pass_through": "pass-through"}


UNITS = {"cpu_us": "µs", "p50_us": "µs", "p99_us": "µs", "rps": "/s"}
NAMES = {"cpu_us": "CPU per request", "p50_us": "p50", "p99_us": "p99", "rps": "throughput"}


def _shown(value, metric):
    digits = 0 if value >= 100 else 1
    return f"{value:,.{digits}f} {UNITS[metric]}".replace(" /s", "/s")


def ratio_row(case, samples, ours, baseline, metric, most=None, least=None):
    """Compares two subjects in one metric; `most` or `least` is what the ratio must keep to."""
    ratios = [
        mine[metric] / other[metric] for mine, other in zip(samples[ours], samples[baseline], strict=True)
    ]
    ratio = median(ratios)
    required = f"≤ {most} ×" if most else f"≥ {least} ×" if least else ""
    met = ratio <= most if most else ratio >= least if least else None
    value = lambda name: _shown(median(one[metric] for one in samples[name]), metric)
    return Row(
        case=f"{case}, against {baseline}",
        measure=NAMES[metric],
        ours=value(ours),
        baseline=value(baseline),
        ratio=f"{ratio:.2f} ({min(ratios):.2f}–{max(ratios):.2f})",
        required=required,
        met=met,
        subject=SUBJECTS.get(ours, ours),
    )


def middle(samples, name, metric):
    """The median of a subject's samples in one metric."""
    return median(one[metric] for one in samples[name])
