#!/usr/bin/env bash
# bundle.sh: builds the Worker into worker/build/ (index.js and index_bg.wasm). `make bundle` calls
# it when a source is newer than the result.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$root/.ci/npm.sh"
worker_build="$("$root/.ci/cargo-tool.sh" worker-build 0.8.7)"
wasm_bindgen="$("$root/.ci/cargo-tool.sh" wasm-bindgen-cli locked:wasm-bindgen)"
environment="$("$root/.ci/wasm-toolchain.sh")"
eval "$environment"

# worker-build downloads these three by itself, from places that are not always in reach.
export WASM_BINDGEN_BIN="$wasm_bindgen/wasm-bindgen"
export ESBUILD_BIN="$root/worker/node_modules/esbuild/bin/esbuild"
export WASM_OPT_BIN="$root/worker/node_modules/binaryen/bin/wasm-opt"
# Apart from the native builds: the compiler may be another one, and neither waits for the other.
export CARGO_TARGET_DIR="$root/target/worker"
unset RUSTFLAGS MAKEFLAGS MFLAGS MAKELEVEL

began="$(mktemp)"
trap 'rm -f "$began"' EXIT
say 'Building the Worker'
cd "$root/worker"
"$worker_build/worker-build" --profile wasm --locked >&2
# The names of functions are a tenth of the bundle. A module that still has them is kept apart: it tells
# what `wasm-function[123]` in a stack trace is.
wasm=build/index_bg.wasm
mv "$wasm" "$CARGO_TARGET_DIR/named.wasm"
"$WASM_OPT_BIN" --enable-{mutable-globals,sign-ext,nontrapping-float-to-int,bulk-memory,multivalue,reference-types,exception-handling} \
  --strip-debug --strip-producers "$CARGO_TARGET_DIR/named.wasm" -o "$wasm"
# Dated back to the start, so that a source edited during the build counts as newer.
touch -r "$began" build/index.js
