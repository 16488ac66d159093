#!/usr/bin/env bash
#
# Shows and repairs a transaction log: zkTxnLogToolkit.sh [-dhrvyc -z ZXID] LOGFILE

ZOOBINDIR="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)" || exit 1
# shellcheck source=bin/zkEnv.sh
. "$ZOOBINDIR/zkEnv.sh"
require_zabra

exec "$ZABRA" txnlog "$@"
