#!/usr/bin/env bash
# cargo-tool.sh NAME VERSION: installs the crate's program once, and prints the folder it lies in.
# VERSION `locked:CRATE` means the version of CRATE in Cargo.lock (wasm-bindgen's program refuses
# to work with any other).
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
    # Neither the project's target folder nor its compiler flags are meant for the tool.
    env -u CARGO_TARGET_DIR -u CARGO_BUILD_TARGET -u RUSTFLAGS \
      cargo install --quiet "$@" --root "$staging" --version "=$version" "$name" >&2
  }
  # The versions that the tool was released with are the tested ones, but a registry's mirror may
  # lack one of them.
  install --locked || install
  # Renamed only when whole, so an interrupted installation is never taken for a finished one.
  mv "$staging" "$dir" 2>/dev/null || [ -d "$dir" ]
fi
printf '%s\n' "$dir/bin"
