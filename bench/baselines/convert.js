// Worker for one key: authenticates, converts the request to Gemini's format and the response
// back.

import { call, fromGemini, isAuthorized, refuse, toGemini } from "./gemini.js";

export default {
  async fetch(request, env) {
    if (!(await isAuthorized(request, env))) return refuse(401, "Incorrect API key provided.");
    const chat = await request.json();
    const answer = await call(env, chat.model, "generateContent", toGemini(chat));
    if (!answer.ok) return refuse(answer.status, "The model did not answer.");
    return Response.json(fromGemini(await answer.json(), chat.model));
  },
};

/** Never asked for anything: where the time to the first answer is measured, a deployment has the service's bindings. */
export class Ledger {}
export class Config {}
export class Egress {}
