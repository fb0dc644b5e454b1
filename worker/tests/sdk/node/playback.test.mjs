// Tests of OpenAI's client for Node with the golden documents, buffered and streamed.

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { CASES, OSLO, Person, clientKey, collect, failingKey, marker, openai } from "./service.mjs";

const client = openai(clientKey);
const failing = openai(failingKey);
const user = (content) => [{ role: "user", content }];

// The client's stream parser fails on calls of custom tools, independent of the server.
const UNCOLLECTABLE = "48_custom_tool_round_trip";

/** Whether it is what is expected, where `$starts:x` stands for any text that begins with x. */
function fits(actual, expected) {
  if (typeof expected === "string" && expected.startsWith("$starts:")) {
    return actual.startsWith(expected.slice("$starts:".length));
  }
  if (typeof expected !== "object" || expected === null) return actual === expected;
  const keys = Object.keys(expected);
  return keys.length === Object.keys(actual).length && keys.every((key) => fits(actual[key], expected[key]));
}

/**
 * What an answer says, without what differs between two answers that say the same: ids that Gemini did not give, the
 * numbers by which a stream is put together, nothing said as null or as empty, and what OpenAI does not have: of that
 * the client's collector keeps the last piece only.
 */
function said({ choices, usage, model }) {
  const messages = choices.map(({ index, finish_reason, native_finish_reason, message }) => {
    const { parsed, reasoning_content, images, ...said } = structuredClone(message);
    for (const item of [...(said.tool_calls ?? []), ...(said.annotations ?? [])]) delete item.index;
    for (const call of said.tool_calls ?? []) {
      if (call.id.startsWith("call_")) call.id = "call_";
      delete call.function?.parsed_arguments;
    }
    const kept = Object.entries(said).filter(([, value]) => value !== null && value !== "" && value.length !== 0);
    return { index, finish_reason, native_finish_reason, message: Object.fromEntries(kept) };
  });
  return { choices: messages.sort((a, b) => a.index - b.index), usage: usage ?? null, model };
}

for (const { name, whole, streamed, answer } of CASES) {
  test(`${name}: whole is what is streamed`, async () => {
    const completion = await client.chat.completions.create(whole);
    if (name !== UNCOLLECTABLE) {
      const stream = client.chat.completions.stream(streamed);
      assert.deepEqual(said(await stream.finalChatCompletion()), said(completion));
    }
    if (answer) {
      const { created: _, ...actual } = completion;
      const { created: __, ...expected } = answer;
      assert.ok(fits(actual, expected), JSON.stringify(actual));
    }
  });
}

test("there are cases", () => assert.ok(CASES.length > 40));

const parsing = (form) => ({
  model: "gemini-3.8-flash",
  messages: user(marker("06", form)),
  response_format: zodResponseFormat(Person, "person"),
});

test("an answer by a schema", async () => {
  const completion = await client.chat.completions.parse(parsing("whole"));
  assert.deepEqual(completion.choices[0].message.parsed, OSLO);
});

test("a streamed answer by a schema", async () => {
  const completion = await client.chat.completions.stream(parsing("streamed")).finalChatCompletion();
  assert.deepEqual(completion.choices[0].message.parsed, OSLO);
});

for (const stream of [false, true]) {
  const form = stream ? "streamed" : "whole";
  test(`the client's own runner of tools, ${form}`, async () => {
    const asked = [];
    const weather = {
      name: "get_weather",
      description: "Weather",
      parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
      parse: JSON.parse,
      function(parsed) {
        asked.push(parsed);
        // The result is sent with the next request.
        return marker("02", form);
      },
    };
    const runner = client.chat.completions.runTools({
      model: "gemini-3.6-flash",
      messages: user(marker("19", form)),
      tools: [{ type: "function", function: weather }],
      stream,
    });
    assert.equal(await runner.finalContent(), "Paris 21°C, London rainy.");
    assert.deepEqual(asked, [{ city: "Paris" }, { city: "Rome" }]);
    const reasons = runner.allChatCompletions().map(({ choices }) => choices[0].finish_reason);
    assert.deepEqual(reasons, ["tool_calls", "stop"]);
  });
}

for (const [model, kind, status, code] of [
  ["gemini-3.5-flash-lite", OpenAI.RateLimitError, 429, "rate_limit_exceeded"],
  ["gemini-3.1-pro-preview", OpenAI.InternalServerError, 503, "overloaded"],
  ["gemini-2.5-pro", OpenAI.BadRequestError, 400, "context_length_exceeded"],
]) {
  for (const stream of [false, true]) {
    test(`${status} ${code}, ${stream ? "streamed" : "whole"}`, async () => {
      const request = { model, messages: user("hello"), stream };
      await assert.rejects(failing.chat.completions.create(request), (error) => {
        assert.ok(error instanceof kind, error);
        assert.deepEqual([error.status, error.code], [status, code]);
        if (status === 429) assert.ok(Number(error.headers.get("retry-after")) > 0);
        return true;
      });
    });
  }
}

for (const [model, code] of [
  ["gemini-3.6-flash", "overloaded"],
  ["gemini-2.5-flash", "upstream_unreachable"],
]) {
  test(`a stream that is truncated is an error: ${code}`, async () => {
    const request = { model, messages: user("tell me a long story"), stream: true };
    const stream = await failing.chat.completions.create(request);
    await assert.rejects(collect(stream), (error) => {
      assert.ok(error instanceof OpenAI.APIError, error);
      assert.equal(error.code, code);
      return true;
    });
  });
}
