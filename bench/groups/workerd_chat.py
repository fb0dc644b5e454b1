"""workerd: a chat of 4 KB, not streamed, against JavaScript that forwards and JavaScript that converts."""

from lib import bodies
from lib.measure import alternate, ratio_row
from lib.suite import check, converting, forwarding, ours, passing

_CONNECTIONS = 16


def run(suite):
    server, client_key = suite.workerd()
    body = bodies.openai_chat(4096)
    subjects = [
        ours(server, client_key, body),
        passing(server, client_key, bodies.GEMINI_CHAT, bodies.gemini_chat(4096)),
        forwarding(suite.javascript("forward"), bodies.GEMINI_CHAT, bodies.gemini_chat(4096)),
        converting(suite.javascript("convert"), "convert", body),
    ]
    rows = []
    for delay in (0, 20):
        suite.play(before_headers_ms=delay)
        check(subjects, "it works")
        samples = suite.raw[f"upstream delay {delay} ms"] = alternate(
            subjects, suite.gemini, _CONNECTIONS, suite.settings
        )
        case = "workerd, chat 4 KB" + (f", Gemini responds after {delay} ms" if delay else "")
        rows += [
            ratio_row(case, samples, "ours", "forward", "cpu_us", most=1.5),
            ratio_row(case, samples, "ours", "forward", "p50_us", most=1.5),
            ratio_row(case, samples, "ours", "convert", "cpu_us", most=0.9),
            ratio_row(case, samples, "pass_through", "forward", "cpu_us", most=1.5),
            ratio_row(case, samples, "pass_through", "forward", "p50_us", most=1.5),
        ]
    return rows
