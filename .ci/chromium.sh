#!/usr/bin/env bash
# chromium.sh: finds a browser for the tests of the page, or installs Debian's, and prints the path of its program.
# A browser that is there comes first: where `apt-get` has Chromium only as a snap, one of the others is there.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

find_browser() {
  local name
  for name in "${CHROMIUM:-}" google-chrome google-chrome-stable chromium chromium-browser; do
    # One that says its version runs here: Ubuntu's `chromium-browser` may be no more than a hint at a snap.
    if [ -n "$name" ] && command -v "$name" >/dev/null && "$name" --version >/dev/null 2>&1; then
      command -v "$name"
      return
    fi
  done
  return 1
}

find_browser && exit
say 'Installing Chromium (once)'
# Without fonts for it Chinese would be boxes.
apt_install chromium fonts-noto-cjk
find_browser || die 'Chromium was installed and does not run'
