#!/usr/bin/env bash
# esbuild.sh ARGUMENTS...: esbuild as worker-build calls it, with the Worker's own entry module in
# place of the generated `shim.js`, which that module imports as `generated.js`.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mv shim.js generated.js
cp "$root/worker/src/host/cloudflare/entry.js" shim.js
"$root/worker/node_modules/esbuild/bin/esbuild" "$@"
rm generated.js
