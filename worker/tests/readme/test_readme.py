"""Every command and every snippet of README.md, run as it stands.

The service and the Worker are started by the README's own `make` commands, with the stand-in for Gemini behind them. What is
replaced in a command is only what a reader replaces too: the port, the data folder, `sk-pool-...` and `padm_...`. Commands
that need a Cloudflare account are checked as far as that goes without one. A block that no rule here knows fails the test.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]
# The README's commands build for release; the tests take the builds that other tests have made already.
os.environ["PROFILE"] = "dev"
GOOD_KEY = "AIzaSyFake-good-one-000000000000000000001"
OTHER_KEY = "AQ.Fake-auth-key-good-three-0000000000003"
ANSWER = "You said: Hello"
WRANGLER = ROOT / "worker/node_modules/wrangler/bin/wrangler.js"


def blocks(language):
    text = (ROOT / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(command, environment, ready):
    """A program in a process group of its own, until it prints `ready`; ended as by Ctrl-C."""
    process = subprocess.Popen(
        command, shell=True, cwd=ROOT, env=os.environ | environment, text=True, start_new_session=True,
        executable="/bin/bash", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
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
    command = "cargo run --quiet --locked -p pool-worker --example fake_gemini -- --port 0 --scenario worker/examples/scenario.toml"
    with running(command, {}, "http://") as printed:
        yield re.search(r"http://\S+", printed).group()


class Reader:
    """Somebody who follows the README in a folder of their own."""

    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        self.replace = {"127.0.0.1:8787": f"127.0.0.1:{port}", "data/ADMIN_PASSWORD": str(folder / "data/ADMIN_PASSWORD")}
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
            ["bash", "-euo", "pipefail", "-c", script], cwd=self.folder, env=self.environment, capture_output=True, text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, command):
        return json.loads(self.run(f"{command} -o json"))


def one(found):
    """The only one of the blocks for which a condition holds."""
    assert len(found) == 1, found
    return found[0]


def shell_block(part):
    return one([block for block in blocks("sh") if part in block])


KNOWN = ["make demo", "make run", "make install", "curl", "poolctl stats", "poolctl pool list", "POOLCTL_TOKEN", "make worker",
         "wrangler.toml.example", "wrangler deploy", "client-key create prod --name ci --rpm"]


def test_every_block_is_known():
    for block in blocks("sh"):
        assert any(part in block for part in KNOWN), f"no rule for:\n{block}"
    assert {language for language in re.findall(r"^```(\w+)$", (ROOT / "README.md").read_text(), re.MULTILINE)} == {
        "sh", "text", "python", "js", "yaml", "ini"}


def test_demo():
    done = subprocess.run(shell_block("make demo"), shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "You said: why do many small keys" in done.stdout and "total" in done.stdout


def test_quick_start_use_and_manage(gemini, tmp_path):
    reader = Reader(tmp_path, free_port())
    environment = {"GEMINI_BASE_URL": gemini, "PORT": str(reader.port), "DATA_DIR": str(tmp_path / "data")}
    with running(shell_block("make run"), environment, "poolctl pool create"):
        created = reader.run(shell_block("make install"))
        client_key = re.search(r"sk-pool-\w+", created).group()
        reader.replace["sk-pool-..."] = client_key
        answer = json.loads(reader.run(shell_block("curl")))
        assert answer["choices"][0]["message"]["content"] == ANSWER
        assert "total" in reader.run(shell_block("poolctl stats"))
        use_the_sdks(reader)
        manage(reader)


def use_the_sdks(reader):
    reader.run(re.search(r"`(poolctl pool update prod --pass-through on)`", (ROOT / "README.md").read_text()).group(1))
    found = blocks("python")
    assert len(found) == 2
    for python in found:
        done = subprocess.run([sys.executable, "-c", reader.as_typed(python)], capture_output=True, text=True)
        assert done.stdout.strip() == ANSWER, done.stderr
    # Node looks for packages beside the file.
    script = ROOT / "worker/node_modules" / f".readme-{reader.port}.mjs"
    script.write_text(reader.as_typed(one(blocks("js"))))
    try:
        done = subprocess.run(["node", script], capture_output=True, text=True)
    finally:
        script.unlink()
    assert done.stdout.strip() == ANSWER, done.stderr


def manage(reader):
    reader.run(shell_block("poolctl pool list"))
    assert re.search(r"sk-pool-\w+", reader.run(shell_block("client-key create prod --name ci --rpm")))
    keys = {key["name"]: key for key in reader.json("poolctl key list prod")["keys"]}
    assert (keys["team-b"]["weight"], keys["team-b"]["enabled"]) == (3, False)
    token = (reader.folder / "config/credentials.toml").read_text()
    reader.replace["padm_..."] = re.search(r"padm_\w+", token).group()
    imported = json.loads(reader.run(shell_block("POOLCTL_TOKEN")))
    assert imported == {"added": 0, "duplicate": 1, "malformed": []}


def test_worker(gemini, tmp_path):
    reader = Reader(tmp_path, free_port())
    created = [ROOT / name for name in ("wrangler.toml", ".dev.vars", ".wrangler") if not (ROOT / name).exists()]
    environment = {"GEMINI_BASE_URL": gemini, "PORT": str(reader.port), "ADMIN_PASSWORD": "the reader's own".replace("'", ""), }
    try:
        with running(shell_block("make worker"), environment, "poolctl pool create"):
            wait_until_it_answers(reader.port)
            password = re.search(r"ADMIN_PASSWORD='(.*)'", (ROOT / ".dev.vars").read_text()).group(1)
            (tmp_path / "data").mkdir()
            (tmp_path / "data/ADMIN_PASSWORD").write_text(password)
            name = f"prod-{reader.port}"
            reader.replace["create prod"] = f"create {name}"
            client_key = re.search(r"sk-pool-\w+", reader.run(shell_block("make install"))).group()
            reader.replace["sk-pool-..."] = client_key
            answer = json.loads(reader.run(shell_block("curl")))
            assert answer["choices"][0]["message"]["content"] == ANSWER
            reader.run(f"poolctl pool delete {name} --yes")
    finally:
        for path in created:
            subprocess.run(["rm", "-rf", path], check=True)


def wait_until_it_answers(port):
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    pytest.fail("the Worker does not answer")


def test_deployment_as_far_as_it_goes_without_an_account(tmp_path):
    commands = (shell_block("wrangler.toml.example") + shell_block("wrangler deploy")).splitlines()
    assert commands[:2] == ["cp wrangler.toml.example wrangler.toml", "cd worker && npm ci && cd .."]
    wrangler = [re.search(r"npx --prefix worker wrangler (.*)", command).group(1) for command in commands[2:]]
    assert [line.split(" --")[0] for line in wrangler] == [
        "d1 create pool-service", "secret put MASTER_KEY", "secret put ADMIN_PASSWORD", "deploy"]
    for line in wrangler[:-1]:
        verb = " ".join(line.split()[:2])
        explained = subprocess.run(["node", WRANGLER, *verb.split(), "--help"], capture_output=True, text=True).stdout
        assert f"wrangler {verb}" in explained
        assert all(flag in explained for flag in re.findall(r"--\w+", line)), explained
    # The build is done already: leave it out, so that only the configuration and the bundle are looked at.
    example = (ROOT / "wrangler.toml.example").read_text()
    (tmp_path / "wrangler.toml").write_text(re.sub(r"\[build\]\n(?:.*\n)*?\n", "", example, count=1))
    (tmp_path / "worker").symlink_to(ROOT / "worker")
    done = subprocess.run(
        ["node", WRANGLER, *wrangler[-1].split(), "--dry-run", "--outdir", "out"], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"WRANGLER_SEND_METRICS": "false", "WRANGLER_HIDE_BANNER": "true"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(name in done.stdout for name in ("DB", "LEDGER", "CONFIG", "EGRESS")), done.stdout
