"""How the cost grows: with the streams that run at once, and with the pools that are in use."""

from dataclasses import replace
from statistics import median

from lib import bodies, http, plot, servers
from lib.measure import Row, Subject, alternate, bearer, middle
from lib.suite import check, ours

_STREAMS = (1, 2, 4, 8, 16, 32, 64)
_POOLS = (1, 10, 100, 1_000, 10_000)
_POOLS_SHORT = _POOLS[:4]


def _fewer(settings):
    """Nothing takes turns here, so a few rounds will do."""
    return replace(settings, rounds=min(3, settings.rounds))


def _linear(points):
    """Whether one of many costs no more than half as much again as one usually does; noise is no growth."""
    return points[-1][1] <= 1.5 * median(cost for _, cost in points)


def _row(case, points):
    shown = ", ".join(f"{count:,}: {cost:,.0f}" for count, cost in points)
    return Row(
        case,
        "CPU per request, µs",
        shown,
        required="no worse than linear: the last ≤ 1.5 × the median",
        met=_linear(points),
        subject="OpenAI API",
    )


def _streams(suite, server, client_key):
    suite.play_stream(100)
    subjects = [ours(server, client_key, bodies.openai_chat(4096, stream=True), events=100)]
    check(subjects, "[DONE]")
    samples = {count: alternate(subjects, suite.gemini, count, _fewer(suite.settings)) for count in _STREAMS}
    return samples, [(count, middle(found, "ours", "cpu_us")) for count, found in samples.items()]


def _pools(suite, server, counts):
    suite.play()
    admin = http.Admin(server)
    keys, samples = [], {}
    for count in counts:
        keys += [admin.create_pool(f"p{number}", 1) for number in range(len(keys), count)]
        subject = Subject("ours", server, bodies.CHAT, bodies.openai_chat(4096), bearer(*keys), settle_s=1.3)
        check([subject], "it works")
        samples[count] = alternate([subject], suite.gemini, 16, _fewer(suite.settings))
    return samples, [(count, middle(found, "ours", "cpu_us")) for count, found in samples.items()]


def run(suite):
    short = suite.settings.rounds <= 2
    rows, streams = [], {}
    for host, start in (("workerd", suite.workerd), ("native", suite.native)):
        samples, streams[host] = _streams(suite, *start())
        suite.raw[f"{host} streams"] = samples
        rows.append(_row(f"{host}, concurrent streams of 100 events", streams[host]))
    server = suite.start(servers.pool_server(suite.gemini.server.url, suite.folder()))
    suite.raw["native pools"], pools = _pools(suite, server, _POOLS_SHORT if short else _POOLS)
    rows.append(_row("native, pools in use", pools))
    suite.plots = {
        "streams": plot.svg("CPU per stream of 100 events, by streams at once", "streams at once", streams),
        "pools": plot.svg("CPU per request, by pools in use", "pools in use", {"native": pools}),
    }
    return rows
