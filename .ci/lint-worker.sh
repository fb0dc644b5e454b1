#!/usr/bin/env bash
# lint-worker.sh: clippy over the code that only the Worker compiles, which the native run of clippy
# never sees. Debian's compiler comes without clippy, so where that one builds the Worker the
# compiler's own warnings have to do, and `make bundle` shows those.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ -n "$("$root/.ci/wasm-toolchain.sh")" ]; then
  say 'No clippy for wasm32-unknown-unknown on this machine; left out'
  exit 0
fi
cd "$root"
CARGO_TARGET_DIR="$root/target/worker" \
  cargo clippy --locked -p pool-worker --lib --target wasm32-unknown-unknown -- -D warnings
