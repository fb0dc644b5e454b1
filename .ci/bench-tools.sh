#!/usr/bin/env bash
# bench-tools.sh PROGRAM...: installs missing programs of the benchmarks; each has a Debian package of
# the same name.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

missing=()
for program in "$@"; do
  command -v "$program" >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
