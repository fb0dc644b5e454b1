// Tests of OpenAI's client for Node, unmodified.
//
// The mock Gemini server responds "You said: <the text>".

import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";
import { EMBEDDING_MODEL, clientKey, collect, openai } from "./service.mjs";

const CHAT_MODEL = "gemini-2.5-flash";
const client = openai(clientKey);

const user = (content) => [{ role: "user", content }];

function assertCounts(usage) {
  assert.ok(usage.prompt_tokens > 0);
  assert.ok(usage.completion_tokens > 0);
  assert.ok(usage.total_tokens >= usage.prompt_tokens + usage.completion_tokens);
}

function assertClose(left, right) {
  assert.equal(left.length, right.length);
  // base64 carries 32-bit floats.
  left.forEach((value, i) => assert.ok(Math.abs(value - right[i]) < 1e-6, `${value} != ${right[i]}`));
}

test("chat completion", async () => {
  const completion = await client.chat.completions.create({
    model: CHAT_MODEL,
    messages: user("good morning"),
  });

  assert.equal(completion.object, "chat.completion");
  assert.equal(completion.model, CHAT_MODEL);
  assert.equal(completion.choices.length, 1);
  const [choice] = completion.choices;
  assert.equal(choice.message.role, "assistant");
  assert.equal(choice.message.content, "You said: good morning");
  assert.equal(choice.finish_reason, "stop");
  assertCounts(completion.usage);
});

test("a system message is no user text", async () => {
  const completion = await client.chat.completions.create({
    model: CHAT_MODEL,
    messages: [
      { role: "system", content: "Answer in one line." },
      { role: "user", content: "first" },
      { role: "assistant", content: "You said: first" },
      { role: "user", content: [{ type: "text", text: "second" }] },
    ],
    temperature: 0.2,
    top_p: 0.9,
    max_completion_tokens: 100,
    stop: ["END"],
  });

  assert.equal(completion.choices[0].message.content, "You said: second");
});

test("streamed chat", async () => {
  const stream = await client.chat.completions.create({
    model: CHAT_MODEL,
    messages: user("tell me a long story: äöü, 你好 🙂"),
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = await collect(stream);

  assert.ok(chunks.every((chunk) => chunk.object === "chat.completion.chunk"));
  assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);

  const choices = chunks.flatMap((chunk) => chunk.choices);
  assert.equal(choices[0].delta.role, "assistant");
  const pieces = choices.map((choice) => choice.delta.content ?? "").filter((piece) => piece !== "");
  assert.ok(pieces.length > 1, "the answer arrived in one piece");
  assert.equal(pieces.join(""), "You said: tell me a long story: äöü, 你好 🙂");
  assert.deepEqual(choices.map((choice) => choice.finish_reason).filter(Boolean), ["stop"]);

  // Only the last chunk has the usage, and it has no choice.
  const last = chunks.pop();
  assert.deepEqual(last.choices, []);
  assertCounts(last.usage);
  assert.ok(chunks.every((chunk) => chunk.usage === undefined || chunk.usage === null));
});

test("streamed chat without usage", async () => {
  const stream = await client.chat.completions.create({
    model: CHAT_MODEL,
    messages: user("hello"),
    stream: true,
  });
  const chunks = await collect(stream);

  assert.ok(chunks.every((chunk) => chunk.choices.length === 1 && !chunk.usage));
  assert.equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), "You said: hello");
});

test("the client's own collector of a stream", async () => {
  const stream = client.chat.completions.stream({
    model: CHAT_MODEL,
    messages: user("hello"),
    stream_options: { include_usage: true },
  });
  let text = "";
  stream.on("content", (delta) => (text += delta));
  const completion = await stream.finalChatCompletion();

  assert.equal(text, "You said: hello");
  assert.equal(completion.choices[0].message.content, "You said: hello");
  assert.equal(completion.choices[0].finish_reason, "stop");
  assertCounts(await stream.totalUsage());
});

test("one embedding", async () => {
  // The client requests base64 by default and decodes it.
  const response = await client.embeddings.create({ model: EMBEDDING_MODEL, input: "hello" });

  assert.equal(response.object, "list");
  assert.equal(response.model, EMBEDDING_MODEL);
  assert.equal(response.data.length, 1);
  assert.equal(response.data[0].index, 0);
  assert.ok(response.data[0].embedding.length > 0);
  assert.ok(response.data[0].embedding.every(Number.isFinite));
});

test("many embeddings keep their order, and the formats agree", async () => {
  const input = ["one", "two", "three"];
  const base64 = await client.embeddings.create({ model: EMBEDDING_MODEL, input });
  const floats = await client.embeddings.create({
    model: EMBEDDING_MODEL,
    input,
    encoding_format: "float",
  });

  assert.deepEqual(floats.data.map((item) => item.index), [0, 1, 2]);
  for (const [i, text] of input.entries()) {
    assertClose(base64.data[i].embedding, floats.data[i].embedding);
    const alone = await client.embeddings.create({ model: EMBEDDING_MODEL, input: text });
    assertClose(alone.data[0].embedding, base64.data[i].embedding);
  }
  assert.notDeepEqual(floats.data[0].embedding, floats.data[1].embedding);
});

test("models", async () => {
  const ids = (await collect(client.models.list())).map((model) => model.id);

  assert.ok(ids.includes(CHAT_MODEL));
  assert.ok(ids.includes(EMBEDDING_MODEL));
  assert.deepEqual(ids.filter((id) => id.startsWith("models/")), []);

  const model = await client.models.retrieve(CHAT_MODEL);
  assert.equal(model.id, CHAT_MODEL);
  assert.equal(model.object, "model");
});

test("a wrong key", async () => {
  const unauthenticated = client.withOptions({ apiKey: "sk-pool-wrong" });
  await assert.rejects(
    unauthenticated.chat.completions.create({ model: CHAT_MODEL, messages: user("hello") }),
    (error) => {
      assert.ok(error instanceof OpenAI.AuthenticationError, error);
      assert.equal(error.code, "invalid_api_key");
      assert.ok(!error.message.includes("sk-pool-wrong"));
      return true;
    },
  );
});

const notFound = (error) => {
  assert.ok(error instanceof OpenAI.NotFoundError, error);
  assert.equal(error.code, "model_not_found");
  return true;
};

for (const stream of [false, true]) {
  test(`an unknown model, ${stream ? "streamed" : "not streamed"}`, async () => {
    const model = "gemini-does-not-exist";
    await assert.rejects(
      client.chat.completions.create({ model, messages: user("hello"), stream }),
      notFound,
    );
  });
}

test("an unknown model, retrieved", async () => {
  await assert.rejects(client.models.retrieve("gemini-does-not-exist"), notFound);
});

for (const [param, body] of [
  ["model", { messages: user("hello") }],
  ["messages", { model: CHAT_MODEL }],
]) {
  test(`no ${param}`, async () => {
    await assert.rejects(client.chat.completions.create(body), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError, error);
      assert.equal(error.param, param);
      assert.equal(error.type, "invalid_request_error");
      return true;
    });
  });
}
