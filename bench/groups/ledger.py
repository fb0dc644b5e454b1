"""workerd: what counting costs, against a build that sends nothing to the ledger; and what the request log costs."""

from lib import bodies, http, machine, servers
from lib.measure import alternate, ratio_row
from lib.suite import check, ours

_CONNECTIONS = 16
_REQUESTS = 10_000


def run(suite):
    suite.play()
    url, body = suite.gemini.server.url, bodies.openai_chat(4096)

    def subject(name, **options):
        server = suite.start(servers.worker(url, suite.folder(), **options))
        return ours(server, http.Admin(server).create_pool("pool", 10), body, name)

    uncounted = machine.ROOT / "worker/build/uncounted/index.js"
    subjects = [
        subject("ledger on"),
        subject("ledger off", script=str(uncounted)),
        subject("log off", log_level="off"),
    ]
    check(subjects, "it works")
    samples = suite.raw["samples"] = alternate(subjects, suite.gemini, _CONNECTIONS, suite.settings)
    requests = sum(one["requests"] for one in samples["ledger on"])
    if suite.settings.rounds > 2 and requests < _REQUESTS:
        raise RuntimeError(f"only {requests} requests in all rounds, not {_REQUESTS}")
    return [
        ratio_row(f"workerd, {requests:,} requests, ledger on", samples, "ledger on", "ledger off", "cpu_us", most=1.1),
        ratio_row("workerd, request log on", samples, "ledger on", "log off", "cpu_us"),
    ]
