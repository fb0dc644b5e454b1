"""Tests of LangChain's client, unmodified."""

import os
from typing import Any

import openai
import pytest
import tiktoken
from conftest import marker
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from test_playback import OSLO, Person

MODEL = "gemini-3.8-flash"


@tool
def get_weather(city: str) -> str:
    """Weather"""
    return city


def chat(base_url: str, key: str = "POOL_CLIENT_KEY", **options: Any) -> ChatOpenAI:
    options = {"model": MODEL, "max_retries": 0, "timeout": 30} | options
    return ChatOpenAI(base_url=base_url, api_key=os.environ[key], **options)


def embeddings(base_url: str, **options: Any) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(
        base_url=base_url,
        api_key=os.environ["POOL_CLIENT_KEY"],
        model="gemini-embedding-001",
        max_retries=0,
        **options,
    )


def ask(model: Any, form: str, messages: list[Any]) -> AIMessage:
    if form == "whole":
        return model.invoke(messages)
    first, *rest = model.stream(messages)
    for chunk in rest:
        first += chunk
    return first


@pytest.mark.parametrize("form", ["whole", "streamed"])
def test_chat(base_url: str, form: str) -> None:
    model = chat(base_url, stream_usage=True)
    answer = ask(model, form, [("system", marker("18", form)), ("user", "hi")])

    assert answer.content == "Héllo 🌍"
    assert answer.response_metadata["finish_reason"] == "stop"
    usage = answer.usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (5, 34, 39)
    assert usage["output_token_details"]["reasoning"] == 30


@pytest.mark.parametrize("form", ["whole", "streamed"])
def test_tools(base_url: str, form: str) -> None:
    model = chat(base_url).bind_tools([get_weather])
    messages: list[Any] = [HumanMessage(marker("19", form))]
    answer = ask(model, form, messages)
    cities = [(call["name"], call["args"]) for call in answer.tool_calls]
    assert cities == [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]

    # The results are sent with the next request.
    results = [ToolMessage(marker("02", form), tool_call_id=call["id"]) for call in answer.tool_calls]
    answer = ask(model, form, [*messages, answer, *results])
    assert answer.content == "Paris 21°C, London rainy."


def test_structured_output(base_url: str) -> None:
    structured = chat(base_url).with_structured_output(Person)
    assert structured.invoke(marker("06", "whole")) == OSLO


def test_errors(base_url: str) -> None:
    for model, error in [
        ("gemini-3.5-flash-lite", openai.RateLimitError),
        ("gemini-3.1-pro-preview", openai.InternalServerError),
        ("gemini-2.5-pro", openai.BadRequestError),
    ]:
        with pytest.raises(error):
            chat(base_url, "POOL_FAILING_CLIENT_KEY", model=model).invoke("hello")


def test_embeddings(base_url: str) -> None:
    model = embeddings(base_url, check_embedding_ctx_length=False)
    one, two = model.embed_documents(["one", "two"])

    assert one == pytest.approx(model.embed_query("one"), rel=1e-6)
    assert one != two


def test_token_ids_are_refused_with_the_remedy(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # By default LangChain sends token ids of OpenAI's tokenizer, which Gemini does not know. Bytes
    # avoid the download of the vocabulary.
    alphabet = tiktoken.Encoding(
        "bytes", pat_str=".+", mergeable_ranks={bytes([byte]): byte for byte in range(256)}, special_tokens={}
    )
    monkeypatch.setattr(tiktoken, "get_encoding", lambda _: alphabet)

    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length=False") as caught:
        embeddings(base_url).embed_documents(["one", "two"])
    assert caught.value.param == "input"
