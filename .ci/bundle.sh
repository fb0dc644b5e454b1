#!/usr/bin/env bash
# bundle.sh [FOLDER FEATURES]: builds the Worker into worker/build/ (index.js and index_bg.wasm), or into another
# folder below worker/ with features for a benchmark. `make bundle` calls it when a source is newer than the result.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out="${1:-build}" features="${2:-}"
"$root/.ci/npm.sh"
worker_build="$("$root/.ci/cargo-tool.sh" worker-build 0.8.7)"
wasm_bindgen="$("$root/.ci/cargo-tool.sh" wasm-bindgen-cli locked:wasm-bindgen)"
environment="$("$root/.ci/wasm-toolchain.sh")"
eval "$environment"

# worker-build downloads these three by itself, from places that are not always in reach.
export WASM_BINDGEN_BIN="$wasm_bindgen/wasm-bindgen"
export ESBUILD_BIN="$root/.ci/esbuild.sh"
export WASM_OPT_BIN="$root/worker/node_modules/binaryen/bin/wasm-opt"
# Apart from the native builds: the compiler may be another one, and neither waits for the other.
export CARGO_TARGET_DIR="$root/target/worker"
unset RUSTFLAGS MAKEFLAGS MFLAGS MAKELEVEL
# Every runtime of Workers has it, and large bodies are searched and checked several times as fast.
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-C target-feature=+simd128"

began="$(mktemp)"
trap 'rm -f "$began"' EXIT
say "Building the Worker${features:+ with $features}"
cd "$root/worker"
"$worker_build/worker-build" --profile wasm --out-dir "$out" . --locked ${features:+--features "$features"} >&2
# gzip finds more where like functions stand side by side: see there. The names of functions are a tenth of the bundle.
# A module that still has them is kept apart: it tells what `wasm-function[123]` in a stack trace is.
wasm="$out/index_bg.wasm"
named="$CARGO_TARGET_DIR/named${features:+-$features}.wasm"
optimize=("$WASM_OPT_BIN"
  --enable-{mutable-globals,sign-ext,nontrapping-float-to-int,bulk-memory,multivalue,reference-types,exception-handling,simd})
node "$root/.ci/order-functions.mjs" "$wasm" "$named"
"${optimize[@]}" --debuginfo --reorder-functions-by-name "$named" -o "$named"
"${optimize[@]}" --strip-debug --strip-producers "$named" -o "$wasm"
# Dated back to the start, so that a source edited during the build counts as newer.
touch -r "$began" "$out/index.js"
