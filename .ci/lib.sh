# shellcheck shell=bash
# Shared by all scripts here; sourced, never run. Defines `root` (the repository), `tools` (the folder
# of installed tools) and the functions below. Writes nothing to stdout, which belongs to the caller.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# Outside target/, so that `make clean` does not cost a quarter of an hour.
# shellcheck disable=SC2034 # read by the scripts that source this file
tools="${POOL_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/pool-service/tools}"

say() { printf '==> %s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# need COMMAND [HINT]: exits with a hint if COMMAND is missing.
need() {
  command -v "$1" >/dev/null || die "$1 is missing${2:+: $2}"
}

# locked_version CRATE: prints the version in Cargo.lock.
locked_version() {
  sed -n "/^name = \"$1\"\$/{n;s/^version = \"\(.*\)\"\$/\1/p;q;}" "$root/Cargo.lock"
}

# digest FILE...: prints one hash of the files' contents.
digest() { cat -- "$@" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-16; }

# apt_install PACKAGE...: installs packages of Debian, as root.
apt_install() {
  need apt-get 'this step needs Debian'
  [ "$(id -u)" = 0 ] || die "run as root: apt-get install --yes $*"
  # A machine made from a bare image has no package lists.
  apt-get update >&2
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@" >&2
}
