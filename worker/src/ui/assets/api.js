// Talks to the admin API. In: a method, a path below /admin/v1 and a body. Out: the answer's JSON, or an ApiError. The
// session is a cookie that scripts cannot read. Never here: an address of another origin.

/** A request that was not done. */
export class ApiError extends Error {
  /** @param {{status: number, message: string, code?: string, hint?: string, requestId?: string, retryAfter?: number}} what */
  constructor({ status, message, code = "", hint = "", requestId = "", retryAfter = 0 }) {
    super(message);
    /** The HTTP status; 0 when there was no answer. */
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.requestId = requestId;
    /** Seconds. */
    this.retryAfter = retryAfter;
  }
}

let sessionEnded = () => {};

/** Says what happens when the session turns out to have ended. @param {() => void} handler */
export function onSessionEnd(handler) {
  sessionEnded = handler;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<any>} null for an answer without a body
 */
export async function call(method, path, body) {
  let response;
  try {
    response = await fetch(`/admin/v1/${path}`, {
      method,
      cache: "no-store",
      redirect: "error",
      headers: body ? { "content-type": "application/json" } : {},
      body: body ? JSON.stringify(body) : undefined,
    });
  } catch (error) {
    throw new ApiError({ status: 0, code: "network", message: String(error) });
  }
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (response.ok) return answer;
  if (response.status === 401 && !(method === "POST" && path === "session")) sessionEnded();
  const error = answer?.error ?? {};
  throw new ApiError({
    status: response.status,
    message: error.message ?? `${response.status} ${response.statusText}`,
    code: error.code,
    hint: error.hint,
    requestId: error.request_id ?? response.headers.get("x-request-id") ?? "",
    retryAfter: Number(response.headers.get("retry-after")) || 0,
  });
}

/** @param {string} path @returns {Promise<any>} */
export const get = (path) => call("GET", path);

/** The path of a pool. @param {string} id @param {string} [rest] */
export const poolPath = (id, rest = "") => `pools/${encodeURIComponent(id)}${rest}`;

/** Cuts a list into parts that a request takes. @template T @param {T[]} list @param {number} size @returns {T[][]} */
export function chunks(list, size) {
  const parts = [];
  for (let start = 0; start < list.length; start += size) parts.push(list.slice(start, start + size));
  return parts;
}
