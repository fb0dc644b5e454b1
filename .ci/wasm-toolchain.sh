#!/usr/bin/env bash
# wasm-toolchain.sh: provides a Rust compiler for wasm32-unknown-unknown. Prints the shell assignments
# that a build of the Worker needs: none with rustup, which is the normal case.
#
# The fallback, only for machines that reach Debian's servers but not rustup's: Debian's `rustc-web`
# compiler. Its standard library for the target is built once from Debian's source package and put
# where that compiler looks for it; only the linker is still rustup's. Everything about the fallback
# is in this file, and it says so when it is used.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

target=wasm32-unknown-unknown
debian_bin="$tools/debian-rust/bin"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# knows_target RUSTC: succeeds if that compiler has a standard library for the target, of its own
# version.
knows_target() {
  "$1" --target "$target" --crate-type lib --crate-name empty --emit metadata \
    --out-dir "$work" - </dev/null 2>/dev/null
}

# new_enough RUSTC: succeeds if that compiler satisfies the workspace's `rust-version`.
new_enough() {
  local wanted have
  wanted="$(sed -n 's/^rust-version = "1\.\([0-9]*\).*/\1/p' "$root/Cargo.toml")"
  have="$("$1" --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\).*/\1/p')"
  [ -n "$have" ] && [ "$have" -ge "$wanted" ]
}

print_debian() {
  local linker
  linker="$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/rust-lld"
  [ -x "$linker" ] || die "no rust-lld at $linker: the Rust toolchain is incomplete"
  mkdir -p "$debian_bin"
  # Only these two are put in front of PATH: all of /usr/bin would hide the caller's other tools.
  ln -sf /usr/bin/rustc /usr/bin/cargo "$debian_bin/"
  # shellcheck disable=SC2016 # expanded where it is evaluated
  printf 'export PATH=%q:$PATH\n' "$debian_bin"
  printf 'export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=%q\n' "$linker"
  # Set by rustup and cargo for their child processes, for the other compiler.
  printf 'unset RUSTUP_TOOLCHAIN RUSTC RUSTDOC CARGO\n'
}

build_debian_library() {
  local library
  say "Building Rust's standard library for $target with Debian's compiler (once; a minute)"
  mkdir "$work/src"
  : >"$work/src/lib.rs"
  printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2024"\n' >"$work/Cargo.toml"
  # `-Z` options need a nightly compiler or RUSTC_BOOTSTRAP.
  (cd "$work" && env -u RUSTC -u RUSTDOC -u CARGO -u RUSTUP_TOOLCHAIN -u RUSTFLAGS \
    PATH="/usr/bin:$PATH" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/target" \
    /usr/bin/cargo build --quiet -Z build-std=std,panic_abort --release --target "$target" >&2)
  library="$(/usr/bin/rustc --print sysroot)/lib/rustlib/$target/lib"
  rm -rf "$library"
  mkdir -p "$library"
  find "$work/target/$target/release/deps" \( -name '*.rlib' -o -name '*.rmeta' \) \
    ! -name 'libempty-*' -exec cp {} "$library/" \;
}

knows_target rustc && exit 0
if [ -x /usr/bin/rustc ] && new_enough /usr/bin/rustc && knows_target /usr/bin/rustc; then
  print_debian
  exit 0
fi
if command -v rustup >/dev/null; then
  say "Adding the target $target"
  if rustup target add "$target" >&2 && knows_target rustc; then exit 0; fi
  say "rustup cannot add $target (no connection to its server?); using Debian's compiler instead"
fi
command -v apt-get >/dev/null ||
  die "this Rust toolchain has no standard library for $target: add it (rustup target add $target)"
apt_install rustc-web cargo-web rust-web-src rust-web-llvm
new_enough /usr/bin/rustc || die "Debian's $(/usr/bin/rustc --version) is too old for this project"
knows_target /usr/bin/rustc || build_debian_library
knows_target /usr/bin/rustc || die "the standard library for $target did not end up where rustc looks"
print_debian
