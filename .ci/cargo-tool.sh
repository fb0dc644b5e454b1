#!/usr/bin/env bash
# cargo-tool.sh NAME VERSION: installs the crate's program once, and prints its folder. VERSION
# `locked:CRATE` is the version of CRATE in Cargo.lock: wasm-bindgen's program works with no other.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

name="$1" version="$2"
case "$version" in locked:*) version="$(locked_version "${version#locked:}")" ;; esac
[ -n "$version" ] || die "no version of $name found"

dir="$tools/$name-$version"
if [ ! -d "$dir" ]; then
  say "Installing $name $version (once; a few minutes)"
  # worker-build links the system's OpenSSL.
  if [ "$name" = worker-build ] && command -v apt-get >/dev/null && ! pkg-config --exists openssl 2>/dev/null; then
    apt_install pkg-config libssl-dev
  fi
  staging="$dir.$$"
  trap 'rm -rf "$staging"' EXIT
  install() {
    # The project's target folder and compiler flags do not apply to the tool.
    env -u CARGO_TARGET_DIR -u CARGO_BUILD_TARGET -u RUSTFLAGS \
      cargo install --quiet "$@" --root "$staging" --version "=$version" "$name" >&2
  }
  # The tool's own lock file has the tested versions, but a mirror of the registry may lack one.
  install --locked || install
  # Renamed when complete, so that an interrupted installation is never mistaken for a finished one.
  mv "$staging" "$dir" 2>/dev/null || [ -d "$dir" ]
fi
printf '%s\n' "$dir/bin"
