#!/usr/bin/env bash
# bench-tools.sh PROGRAM...: makes sure that the benchmarks' programs are there; Debian has each under its own name.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

missing=()
for program in "$@"; do
  command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
