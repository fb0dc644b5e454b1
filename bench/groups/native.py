"""Natively: a chat of 4 KB with 1, 16 and 64 connections, and a stream of 1,000 events, against the bare forwarder."""

from lib import bodies, servers
from lib.measure import alternate, ratio_row
from lib.suite import check, forwarding, ours


def run(suite):
    server, client_key = suite.native()
    forwarder = suite.start(servers.forwarder(suite.gemini.server.url))
    rows = []

    suite.play()
    subjects = [
        ours(server, client_key, bodies.openai_chat(4096)),
        forwarding(forwarder, bodies.GEMINI_CHAT, bodies.gemini_chat(4096), name="forwarder"),
    ]
    check(subjects, "it works")
    for connections in (1, 16, 64):
        samples = suite.raw[f"chat c={connections}"] = alternate(
            subjects, suite.gemini, connections, suite.settings
        )
        case = f"native, chat 4 KB, c = {connections}"
        rows += [
            ratio_row(case, samples, "ours", "forwarder", "rps", least=0.8),
            ratio_row(case, samples, "ours", "forwarder", "p99_us", most=1.3),
            ratio_row(case, samples, "ours", "forwarder", "cpu_us"),
        ]

    suite.play_stream(1000)
    subjects = [
        ours(server, client_key, bodies.openai_chat(4096, stream=True), events=1000),
        forwarding(forwarder, bodies.GEMINI_STREAM, bodies.gemini_chat(4096), name="forwarder", events=1000),
    ]
    check(subjects[:1], "[DONE]")
    check(subjects[1:], '"finishReason":"STOP"')
    samples = suite.raw["stream"] = alternate(subjects, suite.gemini, 8, suite.settings)
    case = "native, stream of 1,000 events, c = 8"
    return rows + [
        ratio_row(case, samples, "ours", "forwarder", "rps", least=0.7),
        ratio_row(case, samples, "ours", "forwarder", "cpu_us"),
    ]
