"""Tests of OpenAI's client for Python, unmodified."""

import openai
import pytest

CHAT_MODEL = "gemini-2.5-flash"
EMBEDDING_MODEL = "gemini-embedding-001"


def assert_counts(usage: openai.types.CompletionUsage | None) -> None:
    assert usage is not None
    assert usage.prompt_tokens > 0
    assert usage.completion_tokens > 0
    assert usage.total_tokens >= usage.prompt_tokens + usage.completion_tokens


def test_chat_completion(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=CHAT_MODEL, messages=[{"role": "user", "content": "good morning"}]
    )

    assert completion.object == "chat.completion"
    assert completion.id
    assert completion.created > 0
    assert completion.model == CHAT_MODEL
    [choice] = completion.choices
    assert choice.index == 0
    assert choice.message.role == "assistant"
    assert choice.message.content == "You said: good morning"
    assert choice.finish_reason == "stop"
    assert_counts(completion.usage)


def test_system_message_is_no_user_text(client: openai.OpenAI) -> None:
    completion = client.chat.completions.create(
        model=CHAT_MODEL,
        messages=[
            {"role": "system", "content": "Answer in one line."},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "You said: first"},
            {"role": "user", "content": [{"type": "text", "text": "second"}]},
        ],
        temperature=0.2,
        top_p=0.9,
        max_completion_tokens=100,
        stop=["END"],
    )

    assert completion.choices[0].message.content == "You said: second"


def test_streamed_chat(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model=CHAT_MODEL,
        messages=[{"role": "user", "content": "tell me a long story: äöü, 你好 🙂"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)

    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    assert {chunk.model for chunk in chunks} == {CHAT_MODEL}

    deltas = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert deltas[0].delta.role == "assistant"
    pieces = [choice.delta.content for choice in deltas if choice.delta.content]
    assert len(pieces) > 1, "the answer arrived in one piece"
    assert "".join(pieces) == "You said: tell me a long story: äöü, 你好 🙂"
    assert [choice.finish_reason for choice in deltas if choice.finish_reason] == ["stop"]

    # Only the last chunk has the usage, and it has no choice.
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choices == []
    assert_counts(chunks[-1].usage)


def test_streamed_chat_without_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model=CHAT_MODEL, messages=[{"role": "user", "content": "hello"}], stream=True
    )
    chunks = list(stream)

    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: hello"


def test_stream_helper(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model=CHAT_MODEL,
        messages=[{"role": "user", "content": "hello"}],
        stream_options={"include_usage": True},
    ) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        completion = stream.get_final_completion()

    assert text == "You said: hello"
    assert completion.choices[0].message.content == "You said: hello"
    assert completion.choices[0].finish_reason == "stop"
    assert_counts(completion.usage)


def test_async_client(base_url: str, client: openai.OpenAI) -> None:
    import asyncio

    async def ask() -> str:
        async with openai.AsyncOpenAI(
            base_url=base_url, api_key=client.api_key, max_retries=0, timeout=30
        ) as async_client:
            stream = await async_client.chat.completions.create(
                model=CHAT_MODEL, messages=[{"role": "user", "content": "hello"}], stream=True
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert asyncio.run(ask()) == "You said: hello"


def test_one_embedding(client: openai.OpenAI) -> None:
    # The client requests base64 by default and decodes it.
    response = client.embeddings.create(model=EMBEDDING_MODEL, input="hello")

    assert response.object == "list"
    assert response.model == EMBEDDING_MODEL
    [embedding] = response.data
    assert embedding.object == "embedding"
    assert embedding.index == 0
    assert len(embedding.embedding) > 0
    assert all(isinstance(value, float) for value in embedding.embedding)


def test_many_embeddings_keep_their_order(client: openai.OpenAI) -> None:
    inputs = ["one", "two", "three"]
    response = client.embeddings.create(model=EMBEDDING_MODEL, input=inputs)

    assert [item.index for item in response.data] == [0, 1, 2]
    for text, item in zip(inputs, response.data, strict=True):
        alone = client.embeddings.create(model=EMBEDDING_MODEL, input=text)
        assert item.embedding == pytest.approx(alone.data[0].embedding, rel=1e-6)
    assert response.data[0].embedding != response.data[1].embedding


def test_embedding_formats_agree(client: openai.OpenAI) -> None:
    inputs = ["one", "two"]
    base64 = client.embeddings.create(model=EMBEDDING_MODEL, input=inputs)
    floats = client.embeddings.create(model=EMBEDDING_MODEL, input=inputs, encoding_format="float")

    for encoded, plain in zip(base64.data, floats.data, strict=True):
        # base64 carries 32-bit floats.
        assert encoded.embedding == pytest.approx(plain.embedding, rel=1e-6, abs=1e-9)


def test_models(client: openai.OpenAI) -> None:
    ids = [model.id for model in client.models.list()]

    assert CHAT_MODEL in ids
    assert EMBEDDING_MODEL in ids
    assert not [name for name in ids if name.startswith("models/")]

    model = client.models.retrieve(CHAT_MODEL)
    assert model.id == CHAT_MODEL
    assert model.object == "model"


def test_wrong_key(client: openai.OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        client.with_options(api_key="sk-pool-wrong").chat.completions.create(
            model=CHAT_MODEL, messages=[{"role": "user", "content": "hello"}]
        )
    assert caught.value.code == "invalid_api_key"
    assert "sk-pool-wrong" not in str(caught.value)


@pytest.mark.parametrize("stream", [False, True])
def test_unknown_model(client: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(
            model="gemini-does-not-exist",
            messages=[{"role": "user", "content": "hello"}],
            stream=stream,
        )
    assert caught.value.code == "model_not_found"


def test_unknown_model_retrieved(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gemini-does-not-exist")
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [{"role": "user", "content": "hello"}]}, "model"),
        ({"model": CHAT_MODEL}, "messages"),
    ],
)
def test_missing_parameter(client: openai.OpenAI, body: dict[str, object], param: str) -> None:
    # The client's own signature would reject this.
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/chat/completions", cast_to=object, body=body)
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"
