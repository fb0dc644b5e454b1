"""Tests of Google's client, and of OpenAI's on Google's OpenAI-compatible endpoint, with pass-through."""

import os
from collections.abc import Iterator

import openai
import pytest
from google import genai
from google.genai import errors, types

CHAT_MODEL = "gemini-3.8-flash"
EMBEDDING_MODEL = "gemini-embedding-001"


def google_client(base_url: str, variable: str) -> genai.Client:
    # Without the version the client uses `/v1`, which is OpenAI's API here.
    options = types.HttpOptions(base_url=base_url.removesuffix("/v1"), api_version="v1beta", timeout=30_000)
    return genai.Client(api_key=os.environ[variable], http_options=options)


@pytest.fixture(scope="module")
def google(base_url: str) -> genai.Client:
    return google_client(base_url, "POOL_CLIENT_KEY")


@pytest.fixture(scope="module")
def google_s_openai(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=base_url.removesuffix("/v1") + "/v1beta/openai/",
        api_key=os.environ["POOL_CLIENT_KEY"],
        max_retries=0,
        timeout=30,
    ) as client:
        yield client


def test_content(google: genai.Client) -> None:
    answer = google.models.generate_content(model=CHAT_MODEL, contents="good morning")
    assert answer.text == "You said: good morning"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.prompt_token_count == 2


def test_streamed_content(google: genai.Client) -> None:
    pieces = list(google.models.generate_content_stream(model=CHAT_MODEL, contents="good morning"))
    assert len(pieces) > 1
    assert "".join(piece.text or "" for piece in pieces) == "You said: good morning"


def test_tokens_vectors_and_models(google: genai.Client) -> None:
    assert google.models.count_tokens(model=CHAT_MODEL, contents="one two three").total_tokens == 3
    answer = google.models.embed_content(model=EMBEDDING_MODEL, contents=["one", "two"])
    assert answer.embeddings is not None
    assert [len(vector.values or []) for vector in answer.embeddings] == [3072, 3072]
    assert f"models/{CHAT_MODEL}" in [model.name for model in google.models.list()]
    assert google.models.get(model=CHAT_MODEL).name == f"models/{CHAT_MODEL}"


def test_errors_of_gemini_and_of_the_service(base_url: str, google: genai.Client) -> None:
    failing = google_client(base_url, "POOL_FAILING_CLIENT_KEY")
    for client, model, code, status in [
        (google, "gemini-0", 404, "NOT_FOUND"),
        (failing, "gemini-2.5-pro", 400, "INVALID_ARGUMENT"),
        (failing, "gemini-3.5-flash-lite", 429, "RESOURCE_EXHAUSTED"),
    ]:
        with pytest.raises(errors.ClientError) as caught:
            client.models.generate_content(model=model, contents="hello")
        assert (caught.value.code, caught.value.status) == (code, status)
        assert caught.value.message


def test_google_s_openai_endpoint(google_s_openai: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "good morning"}]
    completion = google_s_openai.chat.completions.create(model=CHAT_MODEL, messages=messages)
    assert completion.choices[0].message.content == "You said: good morning"
    with google_s_openai.chat.completions.create(model=CHAT_MODEL, messages=messages, stream=True) as stream:
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert len(pieces) > 1
    assert "".join(pieces) == "You said: good morning"
    answer = google_s_openai.embeddings.create(
        model=EMBEDDING_MODEL, input=["one", "two"], dimensions=4, encoding_format="float"
    )
    assert [len(item.embedding) for item in answer.data] == [4, 4]
    assert f"models/{CHAT_MODEL}" in [model.id for model in google_s_openai.models.list()]
    with pytest.raises(openai.NotFoundError):
        google_s_openai.chat.completions.create(model="gpt-4o", messages=messages)
