"""A pool of 20,000 keys against one of ten: throughput, the first request after a start, memory per key."""

import time
from statistics import median

from lib import bodies, counts, http, servers
from lib.measure import Row, alternate, bearer, ratio_row
from lib.suite import check, ours

_MANY = 20_000
_STARTS = 3


def _first_answer_ms(url, client_key, body):
    headers = dict(line.split(": ", 1) for line in bearer(client_key))
    began = time.monotonic()
    http.expect(url + bodies.CHAT, body, headers)
    return (time.monotonic() - began) * 1000


def run(suite):
    suite.play()
    body = bodies.openai_chat(4096)
    rows = []
    for host, start in (("native", servers.pool_server), ("workerd", servers.worker)):
        folder = suite.folder()
        launch = lambda: start(suite.gemini.server.url, folder)
        with launch() as server:
            admin = http.Admin(server)
            small, large = admin.create_pool("small", 10), admin.create_pool("large", _MANY)
            subjects = [ours(server, large, body, "20,000 keys"), ours(server, small, body, "10 keys")]
            check(subjects, "it works")
            samples = suite.raw[host] = alternate(subjects, suite.gemini, 16, suite.settings)
        rows.append(
            ratio_row(f"{host}, pool of 20,000 keys", samples, "20,000 keys", "10 keys", "rps", least=0.95)
        )
        loads = []
        for _ in range(_STARTS):
            with launch() as server:
                # The other pool's first request pays for what every first request pays for.
                _first_answer_ms(server.url, small, body)
                cold = _first_answer_ms(server.url, large, body)
                loads.append(cold - _first_answer_ms(server.url, large, body))
        suite.raw[f"{host} cold loads"] = loads
        rows.append(
            Row(
                f"{host}, pool of 20,000 keys",
                "cold load: first request less second",
                f"{median(loads):.0f} ms",
                required="≤ 300 ms",
                met=median(loads) <= 300,
            )
        )
    bytes_a_key = counts.read()["pool: bytes a key"]
    rows.append(
        Row(
            "pool of 20,000 keys",
            "memory per key (allocated by the load, counted)",
            f"{bytes_a_key} bytes",
            required="≤ 300 bytes",
            met=bytes_a_key <= 300,
        )
    )
    return rows
