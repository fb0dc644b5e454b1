// Tests of Vercel's AI SDK, unmodified.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embed, embedMany, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { EMBEDDING_MODEL, OSLO, Person, baseURL, clientKey, failingKey, marker } from "./service.mjs";

/** The provider, as a user of the service has to set it. */
const provider = (apiKey) =>
  createOpenAICompatible({ name: "pool", baseURL, apiKey, includeUsage: true, supportsStructuredOutputs: true });
const pool = provider(clientKey);
const failing = provider(failingKey);
const common = { model: pool("gemini-3.8-flash"), maxRetries: 0 };

function assertAnswer({ text, reasoningText, finishReason, usage }) {
  assert.equal(text, "Héllo 🌍");
  assert.equal(reasoningText, "Thinking…");
  assert.equal(finishReason, "stop");
  const { inputTokens, outputTokens, totalTokens, reasoningTokens } = usage;
  assert.deepEqual([inputTokens, outputTokens, totalTokens, reasoningTokens], [5, 34, 39, 30]);
}

/** The members of a stream's result, each of which is a promise. */
async function settled(result) {
  const names = ["text", "reasoningText", "finishReason", "usage", "steps"];
  const values = await Promise.all(names.map((name) => result[name]));
  return Object.fromEntries(names.map((name, index) => [name, values[index]]));
}

test("text", async () => {
  assertAnswer(await generateText({ ...common, system: marker("18", "whole"), prompt: "hi" }));
});

test("streamed text", async () => {
  assertAnswer(await settled(streamText({ ...common, system: marker("18", "streamed"), prompt: "hi" })));
});

for (const form of ["whole", "streamed"]) {
  test(`tools, ${form}`, async () => {
    const asked = [];
    const weather = tool({
      description: "Weather",
      inputSchema: z.object({ city: z.string() }),
      execute(input) {
        asked.push(input);
        // The result is sent with the next request.
        return marker("02", form);
      },
    });
    const request = {
      ...common,
      prompt: marker("19", form),
      tools: { get_weather: weather },
      stopWhen: stepCountIs(3),
    };
    const result = form === "whole" ? await generateText(request) : await settled(streamText(request));
    assert.equal(result.text, "Paris 21°C, London rainy.");
    assert.deepEqual(asked, [{ city: "Paris" }, { city: "Rome" }]);
    assert.deepEqual(result.steps.map((step) => step.finishReason), ["tool-calls", "stop"]);
  });
}

test("an object", async () => {
  const { object } = await generateObject({ ...common, schema: Person, prompt: marker("06", "whole") });
  assert.deepEqual(object, OSLO);
});

for (const [model, status, isRetryable] of [
  ["gemini-3.5-flash-lite", 429, true],
  ["gemini-3.1-pro-preview", 503, true],
  ["gemini-2.5-pro", 400, false],
]) {
  test(`a refusal: ${status}`, async () => {
    const request = { ...common, model: failing(model), prompt: "hello" };
    await assert.rejects(generateText(request), (error) => {
      assert.ok(APICallError.isInstance(error), error);
      assert.deepEqual([error.statusCode, error.isRetryable], [status, isRetryable]);
      return true;
    });
  });
}

test("embeddings", async () => {
  const model = pool.embeddingModel(EMBEDDING_MODEL);
  const { embeddings } = await embedMany({ model, values: ["one", "two"], maxRetries: 0 });
  const { embedding } = await embed({ model, value: "one", maxRetries: 0 });
  assert.equal(embeddings.length, 2);
  assert.deepEqual(embeddings[0], embedding);
  assert.notDeepEqual(embeddings[0], embeddings[1]);
});
