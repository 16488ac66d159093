#!/usr/bin/env bash
#
# The shell: zkCli.sh [-server HOST:PORT] [-timeout MS] [-r] [COMMAND ...]

ZOOBINDIR="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)" || exit 1
# shellcheck source=bin/zkEnv.sh
. "$ZOOBINDIR/zkEnv.sh"
require_zabra

exec "$ZABRA" cli "$@"
