"""workerd: 400 clients that leave in the middle of their streams, several times over."""

import selectors
import socket
import time
from urllib.parse import urlsplit

from lib import bodies, machine
from lib.measure import Row
from lib.suite import forwarding, ours

_CLIENTS = 400
_WAVES = 8
# Slow enough that what is counted is what Gemini sends after a client left, and not what was still on its way to it;
# long enough that nobody is at the end when he leaves.
_EVENTS = 100
_EVENT_MS = 400
# After so many events a client leaves.
_STAYS = 3
_PATIENCE_S = 30


def _connect(subject):
    address = urlsplit(subject.server.url)
    client = socket.create_connection((address.hostname, address.port))
    head = [f"POST {subject.path} HTTP/1.1", f"host: {address.netloc}", "content-type: application/json"]
    head += [f"content-length: {len(subject.body)}", *subject.headers]
    client.sendall("".join(f"{line}\r\n" for line in [*head, ""]).encode() + subject.body)
    client.setblocking(False)
    return client


def _wave(subject, marker):
    """Lets the clients come and leave; gives how many events each had seen."""
    selector = selectors.DefaultSelector()
    for _ in range(_CLIENTS):
        selector.register(_connect(subject), selectors.EVENT_READ, bytearray())
    seen = []
    deadline = time.monotonic() + _PATIENCE_S
    while selector.get_map():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(selector.get_map())} clients still wait for their {_STAYS} events")
        for key, _ in selector.select(1):
            received = key.fileobj.recv(1 << 16)
            key.data.extend(received)
            events = key.data.count(marker)
            if not received:
                raise RuntimeError(f"a stream ended early: {bytes(key.data[-300:])!r}")
            if events >= _STAYS:
                seen.append(events)
                selector.unregister(key.fileobj)
                key.fileobj.close()
    return seen


def _all_left(gemini):
    """Waits until no call runs at Gemini; gives the tally and how long that took."""
    began = time.monotonic()
    while (tally := gemini.tally())["in_flight"]:
        if time.monotonic() - began > _PATIENCE_S:
            break
        time.sleep(0.05)
    return tally, time.monotonic() - began


def _waves(suite, subject, marker):
    """What the waves of clients do to a server. `marker` is what each event has in it once."""
    suite.play_stream(_EVENTS, between_frames_ms=_EVENT_MS)
    resident, seen, waits = [], [], []
    for _ in range(_WAVES):
        seen += _wave(subject, marker)
        tally, waited = _all_left(suite.gemini)
        waits.append(waited)
        # What is behind the last answers: the report to the ledger.
        time.sleep(1.5)
        resident.append(machine.resident_bytes(subject.server.pid))
    return {
        "in_flight": tally["in_flight"],
        "left": tally["left"],
        "wait_s": max(waits),
        # A client leaves in the moment in which it has seen an event: what was sent beyond that was sent for nobody.
        "mean_too_many": tally["frames_left"] / max(1, tally["left"]) - sum(seen) / len(seen),
        "most_too_many": tally["most_frames_left"] - min(seen),
        "resident": resident,
    }


def _memory(waves):
    return ", ".join(f"{one / 1e6:.0f}" for one in waves["resident"]) + " MB"


def run(suite):
    server, client_key = suite.workerd()
    subject = ours(server, client_key, bodies.openai_chat(1024, stream=True))
    own = suite.raw["ours"] = _waves(suite, subject, b'"content":"')
    subject = forwarding(suite.javascript("forward"), bodies.GEMINI_STREAM, bodies.gemini_chat(1024))
    other = suite.raw["forward"] = _waves(suite, subject, b'"text":"')
    case = f"workerd, {_WAVES} × {_CLIENTS} clients that disconnect mid-stream (baseline: forward)"
    everyone = _WAVES * _CLIENTS
    flat = 1.05 * own["resident"][_WAVES // 2 - 1]
    return [
        Row(
            case,
            "upstream requests in flight afterwards; closed early",
            f"{own['in_flight']}; {own['left']:,} (within {own['wait_s']:.1f} s)",
            f"{other['in_flight']}; {other['left']:,} (within {other['wait_s']:.1f} s)",
            required=f"0; {everyone:,}",
            met=own["in_flight"] == 0 and own["left"] == everyone,
            subject="OpenAI API",
        ),
        Row(
            case,
            "events that Gemini still sent: mean, most",
            f"{own['mean_too_many']:.1f}, {own['most_too_many']}",
            f"{other['mean_too_many']:.1f}, {other['most_too_many']}",
            required="≤ 2",
            met=own["most_too_many"] <= 2,
            subject="OpenAI API",
        ),
        Row(
            case,
            "memory after each wave",
            _memory(own),
            _memory(other),
            required=f"flat: the last ≤ 1.05 × that of wave {_WAVES // 2}",
            met=own["resident"][-1] <= flat,
            subject="OpenAI API",
        ),
    ]
