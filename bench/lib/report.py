"""The document: `docs/benchmarks.md` from the results of a whole run, and the plots beside it.

In: the results that `run.py` kept. Out: the document, written whole each time. Never here: a figure, or a sentence that
says how good a figure is. What people have to say about them stands in `bench/notes.md` and is put at the end.
"""

import json

from . import machine

_DOCS = machine.ROOT / "docs"
_NOTES = machine.ROOT / "bench" / "notes.md"

_HEAD = """\
# Benchmarks

Written by `make bench`; edit `bench/notes.md` for the last part, and nothing here.

Measured {date} in {minutes} minutes, on one machine, with other work on it of {load:.1f} processors at the start
(load average). What is compared takes turns ({rounds} rounds of {seconds} s each after a warm-up); a ratio is the
median of the rounds' ratios, with the smallest and the greatest in brackets. **Figures in µs and per second say
something about this machine only; the ratios are what counts.** CPU is the user and system time of the measured
process alone, divided by its requests; for the service it includes the report to the ledger that follows.

| | |
|---|---|
{machine}

The server under test had processor {server_cpus} to itself, the load (`wrk`) and the stand-in for Gemini had {load_cpus}.
The service runs as it is deployed, with its request log on (`LOG_LEVEL=info`), counting, ten keys in the pool. In
workerd it has a local D1 and Durable Object in the same process, whose cost counts as its own; everyone's calls go straight
to the stand-in, not through the Worker that Miniflare puts in front of them otherwise. The baselines are in
[`bench/baselines`](../bench/baselines); `forward` and `forwarder` are sent Gemini's own requests, everyone else
OpenAI's with the same text.

| case | measured | ours | baseline | ratio | required | |
|---|---|---|---|---|---|---|
"""

_MIDDLE = """
While these were measured, Gemini's stand-in took at most {busy:.0%} of the processor that it shares with `wrk`. Where a server is
not busy all the time (`server_busy` in the raw results), throughput is the load's and not the server's.

## Growth

![CPU a stream, by streams at once](bench-streams.svg)

![CPU a request, by pools in use](bench-pools.svg)

## To repeat it

`make bench` builds everything and then measures for about 20 minutes; it wants Rust, Node 20, Python 3.11 and `wrk`, which it
installs on Debian. `make bench ONLY="native growth"` runs some groups ({groups}), `make bench SHORT=1` all in a few
minutes to see that they work; neither writes this document. The raw results are in `target/bench/`.
`make bench-quick` counts what does not depend on the machine (calls, allocations, instructions, the wasm's size) and
compares it with [`bench/quick.json`](../bench/quick.json); CI runs it.

"""


def _busiest(value):
    """The greatest share of the time in which the stand-in was busy, anywhere in the raw results."""
    if isinstance(value, dict):
        return max([value.get("upstream_busy", 0), *(_busiest(inner) for inner in value.values())])
    if isinstance(value, list):
        return max([0, *(_busiest(inner) for inner in value)])
    return 0


def table(rows):
    """The lines of the table."""
    verdicts = {True: "met", False: "**not met**", None: ""}
    cells = ("case", "measure", "ours", "baseline", "ratio", "required")
    lines = []
    for row in rows:
        shown = [str(row[name]) for name in cells] + [verdicts[row["met"]]]
        lines.append("| " + " | ".join(shown) + " |\n")
    return "".join(lines)


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
    middle = _MIDDLE.format(busy=_busiest(run["groups"]), groups=", ".join(run["groups"]))
    _DOCS.mkdir(exist_ok=True)
    (_DOCS / "benchmarks.md").write_text(head + table(rows) + middle + _NOTES.read_text())
    for name, picture in run["plots"].items():
        (_DOCS / f"bench-{name}.svg").write_text(picture)


def keep(run, name):
    """Keeps the raw results."""
    machine.RESULTS.mkdir(parents=True, exist_ok=True)
    path = machine.RESULTS / name
    path.write_text(json.dumps(run, indent=1))
    return path
