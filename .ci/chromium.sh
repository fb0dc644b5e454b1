#!/usr/bin/env bash
# chromium.sh: finds a browser for the web UI's tests or installs Debian's, and prints its path. An
# installed browser is preferred: Ubuntu has Chromium only as a snap, but its runners have Chrome.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

find_browser() {
  local name
  for name in "${CHROMIUM:-}" google-chrome google-chrome-stable chromium chromium-browser; do
    # Ubuntu's `chromium-browser` may be a placeholder for the snap, which prints no version.
    if [ -n "$name" ] && command -v "$name" >/dev/null && "$name" --version >/dev/null 2>&1; then
      command -v "$name"
      return
    fi
  done
  return 1
}

find_browser && exit
say 'Installing Chromium (once)'
# Without these fonts Chinese text would be boxes.
apt_install chromium fonts-noto-cjk
find_browser || die 'Chromium was installed and does not run'
