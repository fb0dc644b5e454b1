// Settings of the service under test: POOL_BASE_URL (such as http://127.0.0.1:8787/v1),
// POOL_CLIENT_KEY, and POOL_FAILING_CLIENT_KEY of a pool in which each model fails in its own way.
// The mock Gemini server responds "You said: <the text>", or with a golden document that a message
// names. POOL_CASES is the file of those cases.

import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { z } from "zod";

export const { POOL_BASE_URL: baseURL, POOL_CLIENT_KEY: clientKey, POOL_FAILING_CLIENT_KEY: failingKey } = process.env;
export const CASES = JSON.parse(readFileSync(process.env.POOL_CASES, "utf8"));
export const EMBEDDING_MODEL = "gemini-embedding-001";

/** OpenAI's client. No retries: an answer that it would have to ask for twice is a failure here. */
export const openai = (apiKey) => new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 30_000 });

/** What leads a request to a case's answer; `form` is `whole` or `streamed`, as the request is. */
export function marker(name, form) {
  const [found, ...more] = CASES.filter((entry) => entry.name.startsWith(name));
  if (!found || more.length > 0) throw new Error(`${name} names not one case`);
  return `case-${found.name}-${form}`;
}

/** The schema of case 06, and what its answer says. */
export const Person = z.object({
  kind: z.literal("person"),
  home: z.object({ city: z.string() }),
  nick: z.string().nullable(),
  pet: z.string().nullable(),
});
export const OSLO = { kind: "person", home: { city: "Oslo" }, nick: null, pet: null };

export async function collect(items) {
  const collected = [];
  for await (const item of items) collected.push(item);
  return collected;
}
