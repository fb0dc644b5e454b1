#!/usr/bin/env python3
"""CPU profile under load: `bench/profile.py HOST CASE` after a `make bench`.

HOST is `workerd` (V8's profiler, by function; workerd itself is "(program)") or `native` (`perf`, which must be
installed). CASE is `chat`, `stream` or `picture`.
"""

import argparse
import subprocess

from lib import bodies, machine
from lib.measure import sample
from lib.suite import Settings, Suite, ours

_PORT = 9229
_SECONDS = 10
_CONNECTIONS = 8


def _body(case):
    if case == "picture":
        return bodies.openai_image(10**6)
    return bodies.openai_chat(4096, stream=case == "stream")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host", choices=("workerd", "native"))
    parser.add_argument("case", choices=("chat", "stream", "picture"))
    arguments = parser.parse_args()
    with Suite(Settings.short()) as suite:
        if arguments.case == "stream":
            suite.play_stream(100)
        else:
            suite.play()
        if arguments.host == "workerd":
            server, client_key = suite.workerd(inspectorPort=_PORT)
            profiler = ["node", str(machine.ROOT / "bench/profile.mjs"), str(_PORT), str(_SECONDS)]
        else:
            server, client_key = suite.native()
            data = str(suite.folder() / "perf.data")
            record = f"perf record -q -F 999 -o {data} -p {server.pid} -- sleep {_SECONDS}"
            show = f"perf report -i {data} --no-children --sort dso,symbol --stdio --percent-limit 0.5"
            profiler = ["sh", "-c", f"{record} && {show}"]
        subject = ours(server, client_key, _body(arguments.case))
        sample(subject, suite.gemini, _CONNECTIONS, _SECONDS)
        runner = subprocess.Popen(profiler)
        print(sample(subject, suite.gemini, _CONNECTIONS, _SECONDS), flush=True)
        runner.wait()


if __name__ == "__main__":
    main()
