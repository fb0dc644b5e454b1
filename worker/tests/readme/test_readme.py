"""Tests of the documents' commands: every block and snippet of the READMEs and docs/ is run.

The service and the Worker are started by the README's own `make` commands, with the mock Gemini
server as their upstream. Only what a reader replaces too is replaced in a command: the port, the
data folder, the pool's name, `sk-pool-...` and `padm_...`. Commands that need a Cloudflare account
are checked as far as possible without one. A block that no rule knows fails the test.
"""

import configparser
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from documents import DOCUMENTS, ROOT, Block, blocks_of, inline_code

# The documents' commands build for release; the tests use the builds of other tests.
os.environ["PROFILE"] = "dev"
GOOD_KEY = "AIzaSyFake-good-one-000000000000000000001"
OTHER_KEY = "AQ.Fake-auth-key-good-three-0000000000003"
ANSWER = "You said: Hello"
WRANGLER = ROOT / "worker/node_modules/wrangler/bin/wrangler.js"

# Every block: its language, a part of its text, and the documents that have it. Blocks with the
# same text are run once.
KNOWN = [
    ("sh", "make demo", ["README.md", "README.zh-CN.md"]),
    ("sh", "make run", ["README.md", "README.zh-CN.md"]),
    ("sh", "make install", ["README.md", "README.zh-CN.md"]),
    ("sh", "curl", ["README.md", "README.zh-CN.md"]),
    ("sh", "make worker", ["docs/cloudflare.md"]),
    ("sh", "wrangler.toml.example", ["docs/cloudflare.md"]),
    ("sh", "wrangler deploy", ["docs/cloudflare.md"]),
    ("sh", "--pass-through on", ["docs/native-api.md"]),
    ("sh", "poolctl backup", ["docs/operations.md"]),
    ("sh", "poolctl stats", ["docs/poolctl.md"]),
    ("sh", "poolctl pool list", ["docs/poolctl.md"]),
    ("sh", "POOLCTL_TOKEN", ["docs/poolctl.md"]),
    ("sh", "client-key create prod --name ci --rpm", ["docs/rate-limits.md"]),
    ("sh", "poolctl limits", ["docs/rate-limits.md"]),
    ("sh", "poolctl pool translation", ["docs/translation.md"]),
    ("powershell", "Get-Content", ["docs/install.md"]),
    ("python", "from openai", ["docs/clients.md"]),
    ("python", "from langchain_openai", ["docs/clients.md"]),
    ("python", "from google", ["docs/native-api.md"]),
    ("js", 'from "openai"', ["docs/clients.md"]),
    ("js", "@ai-sdk/openai-compatible", ["docs/clients.md"]),
    ("json", '"error"', ["docs/api.md"]),
    ("ini", "[Service]", ["docs/install.md"]),
    ("yaml", "livenessProbe", ["docs/install.md"]),
    ("yaml", "scrape_configs", ["docs/operations.md"]),
    ("text", "created pool prod", ["README.md", "README.zh-CN.md"]),
    ("text", "requests: 24", ["docs/poolctl.md"]),
]


def blocks(language: str, part: str) -> list[Block]:
    """Every block of a language that contains a text."""
    found = [block for document in DOCUMENTS for block in blocks_of(document)]
    return [block for block in found if block.language == language and part in block.text]


def block(language: str, part: str) -> str:
    """The text of the only block of a language that contains a text, in whichever documents."""
    texts = {found.text for found in blocks(language, part)}
    assert len(texts) == 1, f"{language} blocks with {part!r}: {texts}"
    return texts.pop()


def shell_block(part: str) -> str:
    return block("sh", part)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command, environment, ready):
    """Runs a program in its own process group until it prints `ready`; ends it as Ctrl-C does."""
    process = subprocess.Popen(
        command,
        shell=True,
        cwd=ROOT,
        env=os.environ | environment,
        text=True,
        start_new_session=True,
        executable="/bin/bash",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    printed = ""
    try:
        for line in process.stdout:
            printed += line
            if ready in line:
                break
        else:
            pytest.fail(f"{command} ended early:\n{printed}")
        yield printed
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)


@pytest.fixture(scope="module")
def gemini():
    program = "cargo run --quiet --locked -p pool-worker --example fake_gemini --"
    command = f"{program} --port 0 --scenario worker/examples/scenario.toml"
    with running(command, {}, "http://") as printed:
        yield re.search(r"http://\S+", printed).group()


class Reader:
    """A reader who follows the documents in a folder of their own."""

    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        self.replace = {
            "127.0.0.1:8787": f"127.0.0.1:{port}",
            "data/ADMIN_PASSWORD": str(folder / "data/ADMIN_PASSWORD"),
            # A terminal asks for the pool's name.
            "poolctl pool create --keys": "poolctl pool create prod --keys",
        }
        self.environment = os.environ | {
            "POOLCTL_CONFIG_DIR": str(folder / "config"),
            "POOLCTL_CREDENTIALS": "file",
            "CARGO_INSTALL_ROOT": str(folder / "installed"),
            "PATH": f"{folder}/installed/bin:{os.environ['PATH']}",
        }
        (folder / "keys.txt").write_text(f"# mine\n{GOOD_KEY}\n")
        (folder / "more-keys.txt").write_text(f"{OTHER_KEY},1,old,team-b\n")

    def as_typed(self, text):
        for old, new in self.replace.items():
            text = text.replace(old, new)
        return text

    def run(self, block):
        # `make` runs where its Makefile is, everything else in the reader's folder.
        script = self.as_typed(re.sub(r"^make ", f"make -C {ROOT} ", block, flags=re.MULTILINE))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, command):
        return json.loads(self.run(f"{command} -o json"))


def test_every_block_is_known():
    unknown = [found for document in DOCUMENTS for found in blocks_of(document)]
    for language, part, documents in KNOWN:
        found = blocks(language, part)
        assert [one.document for one in found] == documents, f"{language} blocks with {part!r}"
        assert len({one.text for one in found}) == 1, f"{part!r} differs between {documents}"
        unknown = [one for one in unknown if one not in found]
    assert not unknown, f"no rule for: {unknown}"


def test_the_readme_names_its_set_up_commands_first():
    first = blocks_of("README.md")[0].text
    assert [line.split("  ")[0] for line in first.splitlines()] == ["make demo", "make test"]
    text = (ROOT / "README.md").read_text()
    assert "`make run`" in text and len(text.split()) <= 700, len(text.split())


def test_configuration_files_are_well_formed():
    unit = configparser.ConfigParser(strict=False)
    unit.optionxform = str
    unit.read_string(block("ini", "[Service]"))
    assert unit["Service"]["ExecStart"].endswith("/pool-server")
    json.loads(block("json", '"error"'))
    # PowerShell is not run; its command is the quick start's, without the redirection.
    login = (
        block("powershell", "Get-Content")
        .strip()
        .removeprefix("Get-Content data/ADMIN_PASSWORD | ")
    )
    assert f"{login} < data/ADMIN_PASSWORD\n" in shell_block("make install")


def test_inline_commands_exist():
    """Commands in running text are not run, but their names and flags are those of `poolctl`."""
    root = json.loads((ROOT / "cli/docs/cli.json").read_text())
    for document in DOCUMENTS:
        for code in inline_code(document):
            if code.startswith("poolctl "):
                check_command(root, code, document)


def check_command(root, code, document):
    command, flags = root, {argument["name"] for argument in root["arguments"]}
    previous = ""
    for word in code.split("|")[0].split()[1:]:
        inner = [
            inner
            for name, inner in command["commands"].items()
            if word in (name, *inner["aliases"])
        ]
        takes_words = any(not argument["name"].startswith("-") for argument in command["arguments"])
        if inner:
            command = inner[0]
            flags |= {argument["name"] for argument in command["arguments"]}
        elif word.startswith("--"):
            assert word in flags, f"{document}: no flag {word} in {code!r}"
        elif command["commands"] and not takes_words and not previous.startswith("-"):
            pytest.fail(f"{document}: no command {word!r} in {code!r}")
        previous = word


def test_demo():
    # The other line is what runs this test.
    demo = shell_block("make demo").splitlines()[0]
    done = subprocess.run(demo, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "You said: why do many small keys" in done.stdout and "total" in done.stdout


def test_quick_start_clients_and_management(gemini, tmp_path):
    reader = Reader(tmp_path, free_port())
    environment = {
        "GEMINI_BASE_URL": gemini,
        "PORT": str(reader.port),
        "DATA_DIR": str(tmp_path / "data"),
    }
    with running(shell_block("make run"), environment, "poolctl pool create"):
        created = reader.run(shell_block("make install"))
        check_output(created)
        client_key = re.search(r"sk-pool-\w+", created).group()
        reader.replace["sk-pool-..."] = client_key
        answer = json.loads(reader.run(shell_block("curl")))
        assert answer["choices"][0]["message"]["content"] == ANSWER
        assert "total" in reader.run(shell_block("poolctl stats"))
        use_the_clients(reader)
        manage(reader)
        set_limits_and_options(reader)
        back_up(reader)


def check_output(created):
    """The README shows what `pool create` prints, up to the client key."""
    unify = lambda text: re.sub(
        r"pool-\w+\)", "pool-ID)", re.sub(r"sk-pool-\S+", "sk-pool-...", text)
    )
    assert unify(block("text", "created pool prod")).strip() in unify(created)


def use_the_clients(reader):
    reader.run(shell_block("--pass-through on"))
    for part in ("from openai", "from langchain_openai", "from google"):
        script = reader.as_typed(block("python", part))
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.stdout.strip() == ANSWER, done.stderr
    for part in ('from "openai"', "@ai-sdk/openai-compatible"):
        run_node(reader, block("js", part))


def run_node(reader, snippet):
    # Node looks for packages beside the file.
    script = ROOT / "worker/node_modules" / f".readme-{reader.port}.mjs"
    script.write_text(reader.as_typed(snippet))
    try:
        done = subprocess.run(["node", script], capture_output=True, text=True)
    finally:
        script.unlink()
    assert done.stdout.strip() == ANSWER, done.stderr


def manage(reader):
    reader.run(shell_block("poolctl pool list"))
    assert re.search(
        r"sk-pool-\w+", reader.run(shell_block("client-key create prod --name ci --rpm"))
    )
    keys = {key["name"]: key for key in reader.json("poolctl key list prod")["keys"]}
    assert (keys["team-b"]["weight"], keys["team-b"]["enabled"]) == (3, False)
    token = (reader.folder / "config/credentials.toml").read_text()
    reader.replace["padm_..."] = re.search(r"padm_\w+", token).group()
    imported = json.loads(reader.run(shell_block("POOLCTL_TOKEN")))
    assert imported == {"added": 0, "duplicate": 1, "malformed": []}


def set_limits_and_options(reader):
    reader.run(shell_block("poolctl limits"))
    assert "250" in reader.run("poolctl limits prod -o csv")
    examples = shell_block("poolctl pool translation")
    reader.run(examples)
    # The page has one example and one row of the table for each option.
    options = reader.json("poolctl pool show prod")["translation"]
    assert set(re.findall(r"--set (\w+)=", examples)) == set(options)
    page = (ROOT / "docs/translation.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(options)
    assert (options["min_output_tokens"], options["pacing"], options["strict_params"]) == (
        512,
        None,
        False,
    )


def back_up(reader):
    reader.run(shell_block("poolctl backup"))
    assert (reader.folder / "pools-backup.json").stat().st_mode & 0o077 == 0


def test_worker(gemini, tmp_path):
    reader = Reader(tmp_path, free_port())
    created = [
        ROOT / name
        for name in ("wrangler.toml", ".dev.vars", ".wrangler")
        if not (ROOT / name).exists()
    ]
    environment = {
        "GEMINI_BASE_URL": gemini,
        "PORT": str(reader.port),
        "ADMIN_PASSWORD": "the readers own password",
    }
    try:
        with running(shell_block("make worker"), environment, "poolctl pool create"):
            wait_until_it_listens(reader.port)
            password = re.search(r"ADMIN_PASSWORD='(.*)'", (ROOT / ".dev.vars").read_text()).group(
                1
            )
            (tmp_path / "data").mkdir()
            (tmp_path / "data/ADMIN_PASSWORD").write_text(password)
            name = f"prod-{reader.port}"
            reader.replace["poolctl pool create --keys"] = f"poolctl pool create {name} --keys"
            client_key = re.search(r"sk-pool-\w+", reader.run(shell_block("make install"))).group()
            reader.replace["sk-pool-..."] = client_key
            answer = json.loads(reader.run(shell_block("curl")))
            assert answer["choices"][0]["message"]["content"] == ANSWER
            reader.run(f"poolctl pool delete {name} --yes")
    finally:
        for path in created:
            subprocess.run(["rm", "-rf", path], check=True)


def wait_until_it_listens(port):
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    pytest.fail("the Worker does not listen after 120 s")


def test_deployment_as_far_as_possible_without_an_account(tmp_path):
    commands = (shell_block("wrangler.toml.example") + shell_block("wrangler deploy")).splitlines()
    assert commands[:2] == [
        "cp wrangler.toml.example wrangler.toml",
        "cd worker && npm ci && cd ..",
    ]
    wrangler = [
        re.search(r"npx --prefix worker wrangler (.*)", command).group(1)
        for command in commands[2:]
    ]
    assert [line.split(" --")[0] for line in wrangler] == [
        "d1 create pool-service",
        "secret put MASTER_KEY",
        "secret put ADMIN_PASSWORD",
        "deploy",
    ]
    for line in wrangler[:-1]:
        verb = " ".join(line.split()[:2])
        explained = subprocess.run(
            ["node", WRANGLER, *verb.split(), "--help"], capture_output=True, text=True
        ).stdout
        assert f"wrangler {verb}" in explained
        assert all(flag in explained for flag in re.findall(r"--\w+", line)), explained
    # The bundle exists already: without the build, only configuration and bundle are checked.
    example = (ROOT / "wrangler.toml.example").read_text()
    (tmp_path / "wrangler.toml").write_text(
        re.sub(r"\[build\]\n(?:.*\n)*?\n", "", example, count=1)
    )
    (tmp_path / "worker").symlink_to(ROOT / "worker")
    done = subprocess.run(
        ["node", WRANGLER, *wrangler[-1].split(), "--dry-run", "--outdir", "out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"WRANGLER_SEND_METRICS": "false", "WRANGLER_HIDE_BANNER": "true"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(name in done.stdout for name in ("DB", "LEDGER", "CONFIG", "EGRESS")), done.stdout
