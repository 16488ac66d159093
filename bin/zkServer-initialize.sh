#!/usr/bin/env bash
#
# Makes empty data directories: zkServer-initialize.sh [--configfile=FILE] [--myid=N] [--force]

ZOOBINDIR="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)" || exit 1
# shellcheck source=bin/zkEnv.sh
. "$ZOOBINDIR/zkEnv.sh"
require_zabra

# A --configfile among the arguments comes later and wins.
exec "$ZABRA" initialize "--configfile=$ZOOCFG" "$@"
