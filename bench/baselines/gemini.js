// Shared parts of the converting baselines: authentication, and the conversion of requests and
// responses.
//
// A careful implementation for one key: no library, no needless copy, and only chats of text and
// pictures, which is less than the service supports.

const encoder = new TextEncoder();

const FINISH_REASONS = {
  STOP: "stop",
  MAX_TOKENS: "length",
  SAFETY: "content_filter",
  RECITATION: "content_filter",
  PROHIBITED_CONTENT: "content_filter",
};

/** Whether the request has a client key whose SHA-256 is the known one. */
export async function isAuthorized(request, env) {
  const presented = request.headers.get("authorization")?.replace(/^Bearer /i, "") ?? "";
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(presented));
  let hex = "";
  for (const byte of new Uint8Array(digest)) hex += byte.toString(16).padStart(2, "0");
  return hex === env.CLIENT_KEY_SHA256;
}

export function refuse(status, message) {
  return Response.json({ error: { message, type: "invalid_request_error", param: null, code: null } }, { status });
}

function toPart(part) {
  if (part.type === "text") return { text: part.text };
  const [, mimeType, data] = /^data:([^;,]+);base64,(.*)$/s.exec(part.image_url.url);
  return { inlineData: { mimeType, data } };
}

function toParts(content) {
  return typeof content === "string" ? [{ text: content }] : content.map(toPart);
}

/** Gemini's request for OpenAI's. */
export function toGemini(chat) {
  const contents = [];
  const system = [];
  for (const { role, content } of chat.messages) {
    if (role === "system" || role === "developer") system.push(...toParts(content));
    else contents.push({ role: role === "assistant" ? "model" : "user", parts: toParts(content) });
  }
  const generationConfig = {
    temperature: chat.temperature,
    topP: chat.top_p,
    maxOutputTokens: chat.max_completion_tokens ?? chat.max_tokens,
    stopSequences: typeof chat.stop === "string" ? [chat.stop] : chat.stop,
  };
  const request = { contents, generationConfig };
  if (system.length > 0) request.systemInstruction = { parts: system };
  return request;
}

/** Sends Gemini's request. */
export function call(env, model, method, body) {
  return fetch(`${env.GEMINI_BASE_URL}/v1beta/models/${encodeURIComponent(model)}:${method}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-goog-api-key": env.GEMINI_KEY },
    body: JSON.stringify(body),
  });
}

export function toUsage(usage) {
  const completion = (usage?.candidatesTokenCount ?? 0) + (usage?.thoughtsTokenCount ?? 0);
  const prompt = usage?.promptTokenCount ?? 0;
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

export function toText(candidate) {
  let text = "";
  for (const part of candidate.content?.parts ?? []) if (!part.thought) text += part.text ?? "";
  return text;
}

export function toFinishReason(candidate) {
  return candidate.finishReason ? (FINISH_REASONS[candidate.finishReason] ?? "stop") : null;
}

/** OpenAI's answer for Gemini's. */
export function fromGemini(answer, model) {
  const choices = (answer.candidates ?? []).map((candidate, index) => ({
    index,
    message: { role: "assistant", content: toText(candidate), refusal: null },
    logprobs: null,
    finish_reason: toFinishReason(candidate),
  }));
  return {
    id: `chatcmpl-${answer.responseId}`,
    object: "chat.completion",
    created: Math.floor(Date.now() / 1000),
    model,
    choices,
    usage: toUsage(answer.usageMetadata),
  };
}
