// Entry module of the Worker: the handlers as plain functions, and the Durable Object classes.
//
// worker-build generates `generated.js`, whose default export is a class behind two proxies that are
// built anew for each request. An object of functions costs nothing per request and does the same:
// a panic fails its own request, and the next request restarts the WebAssembly instance. The
// Durable Object classes are used as they are generated.

import * as exports from "./index.js";

export * from "./generated.js";

// One object for the whole isolate, which `generated.js` and the crate `worker` share.
const state = exports.__worker_init_state();

const guarded = (handler) => async (event, env, context) => {
  if (state.criticalError) {
    console.log("Restarting the WebAssembly instance");
    exports.__wbg_reset_state();
    state.criticalError = false;
    state.instanceId++;
  }
  try {
    return await handler(event, env, context);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) {
      console.error("Critical", error);
      state.criticalError = true;
    }
    throw error;
  }
};

export default { fetch: guarded(exports.fetch), scheduled: guarded(exports.scheduled) };
