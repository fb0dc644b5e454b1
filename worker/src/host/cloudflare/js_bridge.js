// Bridge between the Worker's wasm module and the runtime. Each function replaces many calls out of wasm, which would
// each decode texts and hold objects.
//
// It converts lines of text to the runtime's objects and back. It makes no decisions.

/** A request's method, its URL, and the headers of these names; an absent one is an empty line. */
export function head(request, names) {
  const { headers } = request;
  let lines = `${request.method}\n${request.url}`;
  for (const name of names) lines += `\n${headers.get(name) ?? ""}`;
  return lines;
}

/** A call: its URL and method, the name and the value of the header with the credential, and the body's type. */
export function call(lines, body, signal) {
  const [url, method, credential, value, type] = lines.split("\n");
  const headers = { [credential]: value };
  if (body) headers["content-type"] = type;
  return new Request(url, { method, headers, body, signal, redirect: "manual" });
}

/** An answer's status and the headers of these names; an absent one is an empty line. */
export function answered(response, names) {
  const { headers } = response;
  let lines = `${response.status}`;
  for (const name of names) lines += `\n${headers.get(name) ?? ""}`;
  return lines;
}

/** An answer with a body or a stream, its headers as JSON. */
export function respond(status, headers, body) {
  return new Response(body, { status, headers: JSON.parse(headers) });
}

// Rust's tasks are woken by microtasks. The runtime's own function for them costs several times as much as a promise's.
const settled = Promise.resolve();
globalThis.queueMicrotask = (task) => {
  settled.then(() => {
    try {
      task();
    } catch (error) {
      // What the runtime's own function does: a panic is heard of and costs the module's state.
      reportError(error);
    }
  });
};
