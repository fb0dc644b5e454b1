#!/usr/bin/env bash
# npm.sh: installs worker/node_modules as worker/package-lock.json says, when that changed.
# No package's own install script runs: the ones used here ship their programs in the package.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need npm 'install Node 20.11 or newer'

cd "$root/worker"
stamp="node_modules/.installed-$(digest package.json package-lock.json)"
if [ ! -e "$stamp" ]; then
  say 'Installing the npm packages of worker/'
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  touch "$stamp"
fi
