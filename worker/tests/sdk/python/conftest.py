"""Settings of the service under test: POOL_BASE_URL (such as http://127.0.0.1:8787/v1), POOL_CLIENT_KEY,
and POOL_FAILING_CLIENT_KEY of a pool in which each model fails in its own way. The mock Gemini server
responds "You said: <the text>", or with a golden document that a message names. POOL_CASES is the file
of those cases."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

CASES = json.loads(Path(os.environ["POOL_CASES"]).read_text())


def marker(name: str, form: str) -> str:
    """Returns the message that selects a case; `form` is `whole` or `streamed`, as the request is."""
    [full] = [case["name"] for case in CASES if case["name"].startswith(name)]
    return f"case-{full}-{form}"


@pytest.fixture(scope="session")
def base_url() -> str:
    return os.environ["POOL_BASE_URL"]


def client_with(base_url: str, variable: str) -> Iterator[openai.OpenAI]:
    # No retries: a second attempt of the client counts as a failure.
    with openai.OpenAI(
        base_url=base_url, api_key=os.environ[variable], max_retries=0, timeout=30
    ) as client:
        yield client


@pytest.fixture(scope="session")
def client(base_url: str) -> Iterator[openai.OpenAI]:
    yield from client_with(base_url, "POOL_CLIENT_KEY")


@pytest.fixture(scope="session")
def failing(base_url: str) -> Iterator[openai.OpenAI]:
    yield from client_with(base_url, "POOL_FAILING_CLIENT_KEY")
