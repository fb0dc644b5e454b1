#!/usr/bin/env bash
# bundle.sh [FOLDER FEATURES]: builds the Worker into worker/build/ (index.js and index_bg.wasm), or
# into another folder below worker/ with features for a benchmark. `make bundle` calls it when a source
# is newer than the result.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out="${1:-build}" features="${2:-}"
"$root/.ci/npm.sh"
worker_build="$("$root/.ci/cargo-tool.sh" worker-build 0.8.7)"
wasm_bindgen="$("$root/.ci/cargo-tool.sh" wasm-bindgen-cli locked:wasm-bindgen)"
environment="$("$root/.ci/wasm-toolchain.sh")"
eval "$environment"

# worker-build would download these three from servers that are not always reachable.
export WASM_BINDGEN_BIN="$wasm_bindgen/wasm-bindgen"
export ESBUILD_BIN="$root/.ci/esbuild.sh"
export WASM_OPT_BIN="$root/worker/node_modules/binaryen/bin/wasm-opt"
# Separate from the native builds: the compiler may differ, and neither waits for the other's lock.
export CARGO_TARGET_DIR="$root/target/worker"
unset RUSTFLAGS MAKEFLAGS MFLAGS MAKELEVEL
# Every Workers runtime has SIMD; searching and validating large bodies is several times faster.
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-C target-feature=+simd128"

began="$(mktemp)"
trap 'rm -f "$began"' EXIT
say "Building the Worker${features:+ with $features}"
cd "$root/worker"
"$worker_build/worker-build" --profile wasm --out-dir "$out" . --locked ${features:+--features "$features"} >&2
# Sorted by name, the instances of a generic function are neighbours, which makes the module 8 % smaller
# after gzip, since gzip looks back no further than 32 KB. Then the names are removed, a tenth of the
# bundle. A copy with names is kept: it resolves `wasm-function[123]` in a stack trace.
wasm="$out/index_bg.wasm"
named="$CARGO_TARGET_DIR/named${features:+-$features}.wasm"
optimize=("$WASM_OPT_BIN"
  --enable-{mutable-globals,sign-ext,nontrapping-float-to-int,bulk-memory,multivalue,reference-types,exception-handling,simd})
"${optimize[@]}" --debuginfo --reorder-functions-by-name "$wasm" -o "$named"
"${optimize[@]}" --strip-debug --strip-producers "$named" -o "$wasm"
# Dated back to the start, so that a source edited during the build counts as newer.
touch -r "$began" "$out/index.js"
