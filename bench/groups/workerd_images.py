"""workerd: a body of 1 MB with a picture in it against JavaScript that converts; and that memory stays bounded."""

from lib import bodies
from lib.measure import Row, alternate, middle, ratio_row
from lib.suite import check, converting, ours

_CONNECTIONS = 4


def run(suite):
    suite.play()
    server, client_key = suite.workerd()
    body = bodies.openai_image(10**6)
    subjects = [
        ours(server, client_key, body),
        converting(suite.javascript("convert"), "convert", body),
    ]
    check(subjects, "it works")
    samples = suite.raw["samples"] = alternate(subjects, suite.gemini, _CONNECTIONS, suite.settings)
    case = "workerd, body of 1 MB with a picture"
    resident = [one["resident"] for one in samples["ours"]]
    half = len(resident) // 2
    before, after = max(resident[:half]), max(resident[half:])
    memory = Row(
        case,
        "most memory in the first and in the second half of the rounds",
        f"{before / 1e6:.0f} MB, {after / 1e6:.0f} MB",
        f"{middle(samples, 'convert', 'resident') / 1e6:.0f} MB",
        required="bounded: grows by ≤ 10 %",
        met=after <= 1.1 * before,
        subject="OpenAI API",
    )
    return [ratio_row(case, samples, "ours", "convert", "cpu_us", most=0.5), memory]
