// Minimal Worker: forwards request and response unchanged.

export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    return fetch(env.GEMINI_BASE_URL + pathname + search, request);
  },
};
