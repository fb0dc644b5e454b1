"""Where the service under test is: POOL_BASE_URL (such as http://127.0.0.1:8787/v1) and
POOL_CLIENT_KEY. Behind it stands the stand-in for Gemini, which answers "You said: <the text>"."""

import os
from collections.abc import Iterator

import openai
import pytest


@pytest.fixture(scope="session")
def base_url() -> str:
    return os.environ["POOL_BASE_URL"]


@pytest.fixture(scope="session")
def client(base_url: str) -> Iterator[openai.OpenAI]:
    # No retries: an answer that the client would have to ask for twice is a failure here.
    with openai.OpenAI(
        base_url=base_url, api_key=os.environ["POOL_CLIENT_KEY"], max_retries=0, timeout=30
    ) as client:
        yield client
