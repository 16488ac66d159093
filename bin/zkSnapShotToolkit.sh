#!/usr/bin/env bash
#
# Shows a snapshot: zkSnapShotToolkit.sh [-d | -json] SNAPSHOT

ZOOBINDIR="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)" || exit 1
# shellcheck source=bin/zkEnv.sh
. "$ZOOBINDIR/zkEnv.sh"
require_zabra

exec "$ZABRA" snapshot "$@"
