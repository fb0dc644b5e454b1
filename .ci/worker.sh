#!/usr/bin/env bash
# worker.sh: runs the built Worker under `wrangler dev`, with local D1 and Durable Objects under
# .wrangler/. The first run writes wrangler.toml and .dev.vars (the two secrets, taken from the
# environment if set there); later runs change neither. `make worker` calls it.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need node 'install Node 20.11 or newer'

cd "$root"
port="${PORT:-8787}"
random() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }

[ -e wrangler.toml ] || cp wrangler.toml.example wrangler.toml
if [ ! -e .dev.vars ]; then
  (
    umask 077
    # Single quotes, so that wrangler expands nothing in between.
    printf "ADMIN_PASSWORD='%s'\\nMASTER_KEY='%s'\\n" \
      "${ADMIN_PASSWORD:-$(random 18)}" "${MASTER_KEY:-$(random 32)}" >.dev.vars
  )
fi

cat >&2 <<END
ADMIN_PASSWORD and MASTER_KEY are in $root/.dev.vars
Serving http://127.0.0.1:$port (Ctrl-C ends it). In another shell:

  poolctl login --url http://127.0.0.1:$port
  poolctl pool create prod --keys keys.txt

END

# No telemetry, and no requests to the network at startup.
export WRANGLER_SEND_METRICS=false WRANGLER_SEND_ERROR_REPORTS=false WRANGLER_HIDE_BANNER=true
export CLOUDFLARE_CF_FETCH_ENABLED=false
exec node worker/node_modules/wrangler/bin/wrangler.js dev --local --ip 127.0.0.1 --port "$port" \
  --log-level warn --show-interactive-dev-session=false \
  ${GEMINI_BASE_URL:+--var "GEMINI_BASE_URL:$GEMINI_BASE_URL"}
