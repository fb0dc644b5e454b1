"""The size of the wasm, and how long a fresh workerd takes to its first answer, against the JavaScript converter."""

from statistics import median

from lib import bodies, counts, http, machine, servers
from lib.measure import Row, bearer

_STARTS = 15


def _start_to_answer_ms(launch, client_key, body):
    """From workerd's start to its first answer. What comes before is Node's, and not the same for all: Miniflare copies
    the config that it sends to workerd each time that a module makes it grow, which takes longer than to compile the
    module, and which nothing that is deployed goes through."""
    headers = dict(line.split(": ", 1) for line in bearer(client_key))
    with launch() as server:
        http.expect(server.url + bodies.CHAT, body, headers)
        return machine.age_seconds(server.pid) * 1000


def run(suite):
    suite.play()
    url, folder = suite.gemini.server.url, suite.folder()
    body = bodies.openai_chat(4096)
    with servers.worker(url, folder) as server:
        client_key = http.Admin(server).create_pool("pool", 10)
    launches = {
        "ours": (lambda: servers.worker(url, folder), client_key),
        # With the service's bindings, so that what they cost the runtime falls out of the difference.
        "convert": (lambda: servers.javascript("convert", url, d1=True, objects=["Ledger", "Config", "Egress"]), servers.CLIENT_KEY),
    }
    times = {name: [] for name in launches}
    for number in range(_STARTS if suite.settings.rounds > 2 else 5):
        for name in list(launches)[:: 1 if number % 2 == 0 else -1]:
            launch, key = launches[name]
            times[name].append(_start_to_answer_ms(launch, key, body))
    suite.raw["start_ms"] = times
    later = median(mine - other for mine, other in zip(times["ours"], times["convert"], strict=True))
    size = counts.wasm_gzip_bytes()
    return [
        Row("wasm", "size, gzip", f"{size / 1000:.0f} KB", required="≤ 600 KB", met=size <= 600_000),
        Row(
            "fresh workerd to first response, against convert",
            "time",
            f"{median(times['ours']):.0f} ms",
            f"{median(times['convert']):.0f} ms",
            f"+ {later:.0f} ms",
            "≤ + 60 ms",
            later <= 60,
            "OpenAI API",
        ),
    ]
