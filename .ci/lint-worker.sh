#!/usr/bin/env bash
# lint-worker.sh: clippy for the code that only the Worker compiles, which the native run of clippy
# never sees. Debian's compiler has no clippy; where it builds the Worker, only the compiler's own
# warnings are checked, by `make bundle`.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [ -n "$("$root/.ci/wasm-toolchain.sh")" ]; then
  say 'Skipped: no clippy for wasm32-unknown-unknown on this machine'
  exit 0
fi
cd "$root"
CARGO_TARGET_DIR="$root/target/worker" \
  cargo clippy --locked -p pool-worker --lib --target wasm32-unknown-unknown -- -D warnings
