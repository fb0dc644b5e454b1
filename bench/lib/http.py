"""Single requests: the admin API of the service, the steering of the stand-in, and checks of answers."""

import json
import urllib.error
import urllib.request

from .servers import ADMIN_PASSWORD

# As many as one request of the admin API takes.
_KEYS_A_REQUEST = 1000
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def request(url, body=None, headers=None, timeout=60):
    """Status and body of an answer; POST when there is a body."""
    asked = urllib.request.Request(url, data=body, headers={"content-type": "application/json"} | (headers or {}))
    try:
        with _direct.open(asked, timeout=timeout) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def expect(url, body=None, headers=None):
    """The body of an answer that has to be a success."""
    status, answer = request(url, body, headers)
    if status >= 300:
        raise RuntimeError(f"{url} answered {status}: {answer[:500].decode(errors='replace')}")
    return answer


class Admin:
    """The admin API of a running service."""

    def __init__(self, server):
        self._base = f"{server.url}/admin/v1"
        login = self._post("/login", {"password": ADMIN_PASSWORD}, {})
        self._headers = {"authorization": f"Bearer {login['token']}"}

    def _post(self, path, body, headers=None):
        headers = self._headers if headers is None else headers
        return json.loads(expect(self._base + path, json.dumps(body).encode(), headers))

    def create_pool(self, name, keys, **settings):
        """Creates a pool of so many keys; gives its client key."""
        entries = [{"key": f"AIzaSyBench-{name:.8}-{number:020}"} for number in range(keys)]
        created = self._post("/pools", {"name": name, "import": {"keys": entries[:_KEYS_A_REQUEST]}} | settings)
        for start in range(_KEYS_A_REQUEST, keys, _KEYS_A_REQUEST):
            batch = {"keys": entries[start : start + _KEYS_A_REQUEST]}
            self._post(f"/pools/{created['pool']['id']}/keys/import", batch)
        return created["client_key"]


class Gemini:
    """The stand-in, steered from outside."""

    def __init__(self, server):
        self.server = server

    def play(self, **scenario):
        """Takes every key from now on, keeps no requests, and forgets what was counted."""
        scenario = {"unknown_keys": "ok", "record": 0} | scenario
        expect(f"{self.server.url}/_fake/scenario", json.dumps(scenario).encode())
        expect(f"{self.server.url}/_fake/reset", b"")

    def tally(self):
        """What was served, over all keys and models."""
        served = json.loads(expect(f"{self.server.url}/_fake/counts"))["served"]
        total = {"requests": 0, "ok": 0, "left": 0, "in_flight": 0, "frames_left": 0, "most_frames_left": 0}
        for line in served:
            for name in total:
                value = line["tally"][name]
                total[name] = max(total[name], value) if name == "most_frames_left" else total[name] + value
        return total
