#!/usr/bin/env bash
# fuzz.sh [SECONDS [TARGET...]]: runs the fuzz targets, each for SECONDS (60 by default). Their
# properties are in worker/src/fuzz.rs, worker/translate/src/fuzz.rs and
# worker/engine/src/verdict/fuzz.rs. `make fuzz` calls it.
#
# A failing input is kept in worker/fuzz/artifacts/TARGET. Move it to worker/fuzz/corpus/TARGET, which
# `cargo test` replays. Inputs that only reach new code stay under target/fuzz for the next run.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need c++ 'libFuzzer is written in C++'

seconds="${1:-60}"
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(token route headers json body_bounds request schema stream verdict)

PATH="$("$root/.ci/cargo-tool.sh" cargo-fuzz 0.13.1):$PATH"
export CARGO_TARGET_DIR="$root/target/fuzz"
unset RUSTFLAGS
cd "$root/worker"
for target in "${targets[@]}"; do
  say "Fuzzing $target for $seconds s"
  mkdir -p "$CARGO_TARGET_DIR/corpus/$target"
  # Without a sanitizer the stable compiler is enough, and the code has no unsafe parts for one to
  # check. `--release` leaves the assertions to the profile in worker/fuzz/Cargo.toml.
  cargo fuzz run --sanitizer none --release "$target" \
    "$CARGO_TARGET_DIR/corpus/$target" "fuzz/corpus/$target" -- \
    -dict="fuzz/dictionaries/$target.dict" -max_total_time="$seconds" -max_len=8192 -timeout=5 \
    -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0
done
