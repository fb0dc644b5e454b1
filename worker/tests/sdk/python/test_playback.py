"""Tests of OpenAI's client for Python with the golden documents, buffered and streamed."""

import inspect
import json
from typing import Any, Literal

import openai
import pydantic
import pytest
from conftest import CASES, marker

KNOWN = inspect.signature(openai.resources.chat.Completions.create).parameters
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Address(pydantic.BaseModel):
    city: str


class Person(pydantic.BaseModel):
    kind: Literal["person"]
    home: Address
    nick: str | None
    pet: str | None


OSLO = Person(kind="person", home=Address(city="Oslo"), nick=None, pet=None)


# The client's stream parser fails on calls of custom tools, independent of the server.
UNCOLLECTABLE = "48_custom_tool_round_trip"


def arguments(request: dict[str, Any]) -> dict[str, Any]:
    """Returns the request as arguments of `create`; parameters unknown to OpenAI go into `extra_body`."""

    def is_known(key: str, value: Any) -> bool:
        return key in KNOWN and not (key == "tools" and any("type" not in tool for tool in value))

    known = {key: value for key, value in request.items() if is_known(key, value)}
    return known | {"extra_body": {key: value for key, value in request.items() if key not in known}}


def collected(client: openai.OpenAI, request: dict[str, Any]) -> openai.types.chat.ChatCompletion:
    """Returns the completion that the client assembles from a stream."""
    request = arguments(request)
    del request["stream"]
    try:
        with client.chat.completions.stream(**request) as stream:
            return stream.get_final_completion()
    except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError) as error:
        # The client's error for an incomplete response.
        return error.completion


def fits(actual: Any, expected: Any) -> bool:
    """Compares values, where `$starts:x` matches any text that begins with x."""
    if isinstance(expected, str) and expected.startswith("$starts:"):
        return actual.startswith(expected.removeprefix("$starts:"))
    if isinstance(expected, dict):
        return actual.keys() == expected.keys() and all(fits(actual[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return len(actual) == len(expected) and all(map(fits, actual, expected))
    return actual == expected


def said(completion: openai.types.chat.ChatCompletion) -> dict[str, Any]:
    """Returns the content of a response without irrelevant differences: generated ids, indices of streams, null or
    empty values, and what the client's stream parser drops."""
    answer = completion.to_dict()
    for choice in answer["choices"]:
        choice.pop("native_finish_reason", None)
        message = choice["message"]
        for item in [*(message.get("tool_calls") or []), *(message.get("annotations") or [])]:
            item.pop("index", None)
        for call in message.get("tool_calls") or []:
            if call["id"].startswith("call_"):
                call["id"] = "call_"
            call.get("function", {}).pop("parsed_arguments", None)
        choice["message"] = {key: value for key, value in message.items() if value not in (None, "", [])}
        choice.pop("logprobs", None)
    choices = sorted(answer["choices"], key=lambda choice: choice["index"])
    return {"choices": choices, "usage": answer.get("usage"), "model": answer["model"]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_whole_is_what_is_streamed(client: openai.OpenAI, case: dict[str, Any]) -> None:
    whole = client.chat.completions.create(**arguments(case["whole"]))
    if case["name"] != UNCOLLECTABLE:
        assert said(collected(client, case["streamed"])) == said(whole)
    if case["answer"]:
        actual = whole.to_dict()
        for answer in (actual, case["answer"]):
            answer.pop("created")
        assert fits(actual, case["answer"]), actual


def test_there_are_cases() -> None:
    assert len(CASES) > 40


def test_parse(client: openai.OpenAI) -> None:
    completion = client.chat.completions.parse(
        model="gemini-3.8-flash",
        messages=[{"role": "user", "content": marker("06", "whole")}],
        response_format=Person,
    )

    assert completion.choices[0].message.parsed == OSLO


def test_parse_streamed(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="gemini-3.8-flash",
        messages=[{"role": "user", "content": marker("06", "streamed")}],
        response_format=Person,
    ) as stream:
        done = [event.parsed for event in stream if event.type == "content.done"]
        completion = stream.get_final_completion()

    assert done == [OSLO]
    assert completion.choices[0].message.parsed == OSLO


@pytest.mark.parametrize("form", ["whole", "streamed"])
def test_tools(client: openai.OpenAI, form: str) -> None:
    def ask(messages: list[Any]) -> Any:
        request = {"model": "gemini-3.6-flash", "messages": messages, "tools": [WEATHER]}
        if form == "whole":
            return client.chat.completions.create(**request).choices[0]
        with client.chat.completions.stream(**request) as stream:
            return stream.get_final_completion().choices[0]

    messages: list[Any] = [{"role": "user", "content": marker("19", form)}]
    choice = ask(messages)
    assert choice.finish_reason == "tool_calls"
    calls = choice.message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather"] * 2
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]

    messages.append(choice.message.to_dict())
    for call in calls:
        # The results are sent with the next request.
        messages.append({"role": "tool", "tool_call_id": call.id, "content": marker("02", form)})
    choice = ask(messages)
    assert choice.finish_reason == "stop"
    assert choice.message.content == "Paris 21°C, London rainy."


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "error", "status", "code"),
    [
        ("gemini-3.5-flash-lite", openai.RateLimitError, 429, "rate_limit_exceeded"),
        ("gemini-3.1-pro-preview", openai.InternalServerError, 503, "overloaded"),
        ("gemini-2.5-pro", openai.BadRequestError, 400, "context_length_exceeded"),
    ],
)
def test_refusals(
    failing: openai.OpenAI, model: str, error: type[openai.APIStatusError], status: int, code: str, stream: bool
) -> None:
    with pytest.raises(error) as caught:
        failing.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "hello"}], stream=stream
        )
    assert (caught.value.status_code, caught.value.code) == (status, code)
    if status == 429:
        assert int(caught.value.response.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("model", "code"), [("gemini-3.6-flash", "overloaded"), ("gemini-2.5-flash", "upstream_unreachable")]
)
def test_a_stream_that_breaks_off_is_an_error(failing: openai.OpenAI, model: str, code: str) -> None:
    pieces = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in failing.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "tell me a long story"}], stream=True
        ):
            pieces += [choice.delta.content for choice in chunk.choices]

    assert "".join(filter(None, pieces))
    assert caught.value.code == code
