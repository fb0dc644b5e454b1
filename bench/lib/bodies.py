"""The bodies of requests, the same text for OpenAI's API and for Gemini's."""

import base64
import json
import random

MODEL = "gemini-3.8-flash"
CHAT = "/v1/chat/completions"
GEMINI_CHAT = f"/v1beta/models/{MODEL}:generateContent"
GEMINI_STREAM = f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"

_SENTENCE = 'The model said: "it works" — naïvely, but\nwith a reason. '


def text(length):
    """So many characters as people and models write them: some need escapes, some are not ASCII."""
    return (_SENTENCE * (length // len(_SENTENCE) + 1))[:length]


def _turns(length):
    """A conversation that is about so long on the wire."""
    turn = text(max(1, length // 8 - 60))
    return ["You are terse."] + [turn] * 7


def openai_chat(length, stream=False):
    """A conversation of about `length` bytes for OpenAI's API."""
    system, *turns = _turns(length)
    messages = [{"role": "system", "content": system}]
    messages += [
        {"role": ("user", "assistant")[index % 2], "content": turn} for index, turn in enumerate(turns)
    ]
    body = {"model": MODEL, "temperature": 0.5, "max_tokens": 60_000, "messages": messages}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body, ensure_ascii=False).encode()


def gemini_chat(length):
    """The same conversation for Gemini's API."""
    system, *turns = _turns(length)
    contents = [
        {"role": ("user", "model")[index % 2], "parts": [{"text": turn}]} for index, turn in enumerate(turns)
    ]
    body = {
        "systemInstruction": {"parts": [{"text": system}]},
        "contents": contents,
        "generationConfig": {"temperature": 0.5, "maxOutputTokens": 60_000},
    }
    return json.dumps(body, ensure_ascii=False).encode()


def openai_image(length):
    """A question about a picture that stands in the body, which is about `length` bytes long."""
    picture = base64.b64encode(random.Random(1).randbytes(length * 3 // 4)).decode()
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
    ]
    return json.dumps({"model": MODEL, "messages": [{"role": "user", "content": content}]}).encode()
