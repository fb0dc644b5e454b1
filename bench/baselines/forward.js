// The cheapest Worker that does anything: hands request and answer through, untouched.

export default {
  async fetch(request, env) {
    const { pathname, search } = new URL(request.url);
    return fetch(env.GEMINI_BASE_URL + pathname + search, request);
  },
};
