// Streaming variant: a TransformStream parses and rewrites each of Gemini's events.

import { call, isAuthorized, refuse, toFinishReason, toGemini, toText, toUsage } from "./gemini.js";

/** Gemini's events as OpenAI's. */
function rewriting(model, includeUsage) {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  const created = Math.floor(Date.now() / 1000);
  let rest = "";
  let first = true;
  let usage;
  let id = "";

  const event = (choices, more) =>
    `data: ${JSON.stringify({ id, object: "chat.completion.chunk", created, model, choices, ...more })}\n\n`;

  function rewrite(frame) {
    const answer = JSON.parse(frame);
    id = `chatcmpl-${answer.responseId}`;
    usage = answer.usageMetadata ?? usage;
    const choices = (answer.candidates ?? []).map((candidate, index) => {
      const delta = { content: toText(candidate) };
      if (first) delta.role = "assistant";
      return { index, delta, logprobs: null, finish_reason: toFinishReason(candidate) };
    });
    first = false;
    return event(choices, includeUsage ? { usage: null } : {});
  }

  return new TransformStream({
    transform(chunk, controller) {
      rest += decoder.decode(chunk, { stream: true });
      let written = "";
      for (let end; (end = rest.indexOf("\r\n\r\n")) >= 0; rest = rest.slice(end + 4)) {
        if (rest.startsWith("data: ")) written += rewrite(rest.slice(6, end));
      }
      if (written) controller.enqueue(encoder.encode(written));
    },
    flush(controller) {
      const last = includeUsage ? event([], { usage: toUsage(usage) }) : "";
      controller.enqueue(encoder.encode(`${last}data: [DONE]\n\n`));
    },
  });
}

export default {
  async fetch(request, env) {
    if (!(await isAuthorized(request, env))) return refuse(401, "Incorrect API key provided.");
    const chat = await request.json();
    const answer = await call(env, chat.model, "streamGenerateContent?alt=sse", toGemini(chat));
    if (!answer.ok) return refuse(answer.status, "The model did not answer.");
    const body = answer.body.pipeThrough(rewriting(chat.model, chat.stream_options?.include_usage));
    return new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } });
  },
};
