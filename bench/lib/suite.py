"""The frame of a run: how long and how often, the stand-in for Gemini, the folder, and the checks before a load."""

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from . import bodies, http, servers
from .measure import Subject, bearer


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    rounds: int
    seconds: float
    # How much a server has worked at least before it is measured, in seconds of processor time, and how long that may
    # take.
    warm_cpu_s: float
    warm_at_most_s: float

    @classmethod
    def full(cls):
        return cls(rounds=5, seconds=3, warm_cpu_s=3, warm_at_most_s=20)

    @classmethod
    def short(cls):
        """Enough to see that everything works, too little for a verdict."""
        return cls(rounds=2, seconds=1, warm_cpu_s=0.2, warm_at_most_s=5)


class Suite:
    """What a group of cases is given. Whatever it starts ends with it."""

    def __init__(self, settings):
        self.settings = settings
        self._stack = ExitStack()
        self.gemini = None
        self.raw = {}
        self.plots = {}

    def __enter__(self):
        self.gemini = http.Gemini(self.start(servers.fake_gemini()))
        return self

    def __exit__(self, *error):
        return self._stack.__exit__(*error)

    def start(self, server):
        """Takes over a server that was started."""
        return self._stack.enter_context(server)

    def folder(self):
        """An empty folder for a service's state."""
        path = Path(tempfile.mkdtemp(prefix="pool-bench-"))
        self._stack.callback(shutil.rmtree, path, ignore_errors=True)
        return path

    def play(self, characters=1000, frames=100, **scenario):
        """Lets Gemini answer with so much text, in so many events where it streams."""
        self.gemini.play(answer={"text": bodies.text(characters), "frames": frames - 1}, **scenario)

    def play_stream(self, events, **scenario):
        """Lets Gemini answer with so many events of thirty characters."""
        self.play(characters=30 * events, frames=events, **scenario)

    def workerd(self, **options):
        """Our Worker with a pool of ten keys: the server and a client key."""
        server = self.start(servers.worker(self.gemini.server.url, self.folder(), **options))
        return server, http.Admin(server).create_pool("pool", 10, pass_through=True)

    def native(self):
        """The native service with a pool of ten keys: the server and a client key."""
        server = self.start(servers.pool_server(self.gemini.server.url, self.folder()))
        return server, http.Admin(server).create_pool("pool", 10)

    def javascript(self, name):
        """A JavaScript baseline."""
        return self.start(servers.javascript(name, self.gemini.server.url))


def ours(server, client_key, body, name="ours", events=0):
    """The service as the subject of a load."""
    return Subject(name, server, bodies.CHAT, body, bearer(client_key), settle_s=1.3, events=events)


def passing(server, client_key, path, body, events=0):
    """The service handing Gemini's own requests through."""
    return Subject("pass_through", server, path, body, [f"x-goog-api-key: {client_key}"], settle_s=1.3, events=events)


def converting(server, name, body, events=0):
    """A JavaScript baseline that takes OpenAI's requests."""
    return Subject(name, server, bodies.CHAT, body, bearer(servers.CLIENT_KEY), events=events)


def forwarding(server, path, body, name="forward", events=0):
    """A baseline that hands Gemini's own requests through."""
    return Subject(name, server, path, body, [f"x-goog-api-key: {servers.GEMINI_KEY}"], events=events)


def check(subjects, expected):
    """Every subject answers with the whole text before anything is measured."""
    for subject in subjects:
        for line in subject.headers:
            name, _, value = line.partition(": ")
            answer = http.expect(subject.server.url + subject.path, subject.body, {name: value})
            if expected.encode() not in answer:
                raise RuntimeError(f"{subject.name} answers {answer[:300]!r}, without {expected!r}")
            break
