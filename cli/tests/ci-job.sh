#!/bin/sh
# A CI job: makes a pool, imports keys that Gemini takes, sends one request through it, and fails when
# a key is refused. Needs POOLCTL_URL and POOLCTL_TOKEN; no terminal, no keyring, no profile.
#   ci-job.sh POOL KEYS
set -eu
pool=$1
keys=$2
refused=0

if ! poolctl pool show "$pool" --output name >/dev/null 2>&1; then
    # The first client key goes where the job keeps its secrets; here it is a file.
    (umask 077 && poolctl pool create "$pool" --description "made by CI" --output json >created.json)
fi

# Exit code 3: done, except for some keys. Anything else but 0 ends the job.
poolctl key import "$pool" --keys "$keys" --check --report report.csv --output json >import.json || {
    code=$?
    [ "$code" -eq 3 ] || exit "$code"
    refused=1
}

poolctl key list "$pool" --state invalid,leaked,suspended --output name >bad-keys.txt
if [ -s bad-keys.txt ]; then
    poolctl key disable "$pool" - --quiet <bad-keys.txt
fi

poolctl try "$pool" "smoke test" --quiet
poolctl stats "$pool" --by outcome --output csv

if [ "$refused" -ne 0 ]; then
    echo "some keys are refused:" >&2
    grep -E ',(invalid|leaked|suspended|blocked|billing|malformed),' report.csv >&2
    exit 3
fi
