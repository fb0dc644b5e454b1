#!/usr/bin/env bash
# esbuild.sh ARGUMENTS...: esbuild as worker-build calls it, in the folder of the `shim.js` that it has made, whose default
# export is changed first. worker-build makes it a class behind proxies, of which each request gets new ones. An object
# with functions is called at once, and does the same: a panic costs its request, and the next one a new start.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

generated='export default new Proxy(Entrypoint, classProxyHooks);'
[ "$(grep -cxF "$generated" shim.js)" = 1 ] || die "worker-build's shim.js is not as .ci/esbuild.sh knows it"
shim="$(grep -vxF "$generated" shim.js)"
{
  printf '%s\n' "$shim"
  cat <<'EOF'
const guarded = (handle) => async (event, env, context) => {
  checkReinitialize();
  try {
    return await handle(event, env, context);
  } catch (e) {
    handleMaybeCritical(e);
    throw e;
  }
};
export default { fetch: guarded(exports.fetch), scheduled: guarded(exports.scheduled) };
EOF
} >shim.js
exec "$root/worker/node_modules/esbuild/bin/esbuild" "$@"
