"""workerd: a stream of 100 events against the untouched forward and against a TransformStream in JavaScript."""

from lib import bodies
from lib.measure import alternate, ratio_row
from lib.suite import check, converting, forwarding, ours, passing

_CONNECTIONS = 8


def run(suite):
    suite.play_stream(100)
    server, client_key = suite.workerd()
    body = bodies.openai_chat(4096, stream=True)
    subjects = [
        ours(server, client_key, body, events=100),
        converting(suite.javascript("transform_stream"), "transform_stream", body, events=100),
        forwarding(suite.javascript("forward"), bodies.GEMINI_STREAM, bodies.gemini_chat(4096), events=100),
        passing(server, client_key, bodies.GEMINI_STREAM, bodies.gemini_chat(4096), events=100),
    ]
    # The last event of each: none may end early.
    check(subjects[:2], "[DONE]")
    check(subjects[2:], '"finishReason":"STOP"')
    samples = suite.raw["samples"] = alternate(subjects, suite.gemini, _CONNECTIONS, suite.settings)
    case = "workerd, stream of 100 events"
    return [
        ratio_row(case, samples, "ours", "forward", "cpu_us", most=4),
        ratio_row(case, samples, "ours", "transform_stream", "cpu_us", most=0.7),
        ratio_row(case, samples, "pass_through", "forward", "cpu_us", most=4),
    ]
