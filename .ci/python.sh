#!/usr/bin/env bash
# python.sh [SUITE]: creates the virtual environment of a suite's requirements.txt once, and prints
# its interpreter. SUITE is a folder below worker/tests: sdk/python (the default, which the README's
# tests use too) or openapi.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need python3 'install Python 3.11 or newer'

suite="${1:-sdk/python}"
requirements="$root/worker/tests/$suite/requirements.txt"
version="$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
dir="$tools/python$version-$(digest "$requirements")"
if [ ! -e "$dir/installed" ]; then
  say "Installing the Python packages of worker/tests/$suite"
  python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
  rm -rf "$dir"
  python3 -m venv "$dir"
  # The list is complete; resolving dependencies would fail on an extra that asks for a newer version.
  "$dir/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$requirements" >&2
  "$dir/bin/python" -m pip check >&2
  touch "$dir/installed"
fi
printf '%s\n' "$dir/bin/python"
