#!/usr/bin/env bash
# npm.sh: installs worker/node_modules from worker/package-lock.json when that has changed. Install
# scripts of packages never run; the packages used here ship their programs ready to use.
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
