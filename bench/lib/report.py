"""The writer of `docs/benchmarks.md` and its plots, from the results of a whole run.

The document is replaced as a whole. It has two tables: measurements, and the goals that they are
compared with. This module has no figures and no comments on them; `bench/notes.md` has these and is
appended.
"""

import json

from . import machine

_DOCS = machine.ROOT / "docs"
_NOTES = machine.ROOT / "bench" / "notes.md"

_HEAD = """\
# Benchmarks

How much CPU time, latency and memory the service costs, compared with baselines on the same
machine, and which goals it meets. Written by `make bench`; edit only the last part, in
`bench/notes.md`.

Measured {date} in {minutes} minutes, on one machine with a load average of {load:.1f} at the start.
Subjects that are compared take turns ({rounds} rounds of {seconds} s each after a warm-up). A ratio
is the median of the rounds' ratios, with the smallest and the greatest in brackets. **Figures in µs
and per second depend on this machine; compare the ratios.** CPU is the user and system time of the
measured process alone, divided by its requests. For the service it includes the report to the
ledger that follows.

| | |
|---|---|
{machine}

The server under test had processor {server_cpus} to itself; the load (`wrk`) and the mock Gemini
server had {load_cpus}. The service runs as it is deployed: with its request log on
(`LOG_LEVEL=info`), counting, with ten keys in the pool. In workerd it has a local D1 and Durable
Object in the same process, whose cost counts as its own. All upstream requests go directly to the
mock Gemini server, not through the Worker that Miniflare puts in front of it otherwise.

## Subjects and baselines

| name | what it is |
|---|---|
| OpenAI API | `POST /v1/chat/completions` of the service |
| pass-through | `POST /v1beta/models/…` of the service |
| service | another part of the service, which the case names |
| `forward` | a Worker in JavaScript that forwards native Gemini requests |
| `convert` | a Worker in JavaScript that converts OpenAI requests |
| `transform_stream` | the same for streams |
| `forwarder` | a native program that forwards native Gemini requests |

The baselines are in [`bench/baselines`](../bench/baselines).

## Measurements

"""

_MIDDLE = """
Meanwhile the mock Gemini server used at most {busy:.0%} of the processor that it shares with `wrk`.
Where a server is not busy all the time (`server_busy` in the raw results), the load limits the
throughput, not the server.

## Goals

Goals are targets of the project. A measurement without a goal is not in this table.

{goals}
## Growth

![CPU per stream, by concurrent streams](bench-streams.svg)

![CPU per request, by pools in use](bench-pools.svg)

## Run the benchmarks

`make bench` builds everything and then measures for about 20 minutes. It needs Rust, Node 20,
Python 3.11 and `wrk`, which it installs on Debian. The raw results are in `target/bench/`.

- `make bench ONLY="native growth"` runs some groups: {groups}.
- `make bench SHORT=1` runs all groups in a few minutes, as a smoke test.
- Neither writes this document.

`make bench-quick` counts what does not depend on the machine (calls, allocations, instructions, the
size of the wasm) and compares it with [`bench/quick.json`](../bench/quick.json). CI runs it.

"""


def _busiest(value):
    """The greatest share of the time in which the mock Gemini server was busy, in all raw results."""
    if isinstance(value, dict):
        return max([value.get("upstream_busy", 0), *(_busiest(inner) for inner in value.values())])
    if isinstance(value, list):
        return max([0, *(_busiest(inner) for inner in value)])
    return 0


def _table(titles, lines):
    """The lines of a table."""
    return "".join("| " + " | ".join(line) + " |\n" for line in [titles, ["---"] * len(titles), *lines])


def measurements(rows):
    """The table of measurements."""
    cells = ("case", "subject", "measure", "ours", "baseline", "ratio")
    titles = ["case", "subject", "measured", "value", "baseline", "ratio"]
    return _table(titles, [[str(row[name]) for name in cells] for row in rows])


def goals(rows):
    """The table of goals."""
    verdicts = {True: "met", False: "**not met**"}
    cells = ("case", "subject", "measure", "required")
    lines = [
        [str(row[name]) for name in cells] + [verdicts[row["met"]]] for row in rows if row["met"] is not None
    ]
    return _table(["case", "subject", "measured", "goal", "result"], lines)


def write(run):
    """Writes the document of a whole run."""
    rows = [row for group in run["groups"].values() for row in group["rows"]]
    head = _HEAD.format(
        date=run["date"],
        minutes=round(run["seconds"] / 60),
        load=run["load_average"],
        rounds=run["settings"]["rounds"],
        seconds=run["settings"]["seconds"],
        machine="\n".join(f"| {name} | {value} |" for name, value in run["machine"].items()),
        server_cpus=", ".join(map(str, sorted(machine.SERVER_CPUS))),
        load_cpus=", ".join(map(str, sorted(machine.LOAD_CPUS))),
    )
    middle = _MIDDLE.format(
        busy=_busiest(run["groups"]), goals=goals(rows), groups=", ".join(run["groups"])
    )
    _DOCS.mkdir(exist_ok=True)
    (_DOCS / "benchmarks.md").write_text(head + measurements(rows) + middle + _NOTES.read_text())
    for name, picture in run["plots"].items():
        (_DOCS / f"bench-{name}.svg").write_text(picture)


def keep(run, name):
    """Keeps the raw results."""
    machine.RESULTS.mkdir(parents=True, exist_ok=True)
    path = machine.RESULTS / name
    path.write_text(json.dumps(run, indent=1))
    return path
