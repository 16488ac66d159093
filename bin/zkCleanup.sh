#!/usr/bin/env bash
#
# Removes old snapshots and transaction logs.
#
#   zkCleanup.sh [--config CONF_DIR] -n COUNT        the directories of zoo.cfg
#   zkCleanup.sh DATA_LOG_DIR [SNAP_DIR] -n COUNT    these

ZOOBINDIR="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)" || exit 1
# shellcheck source=bin/zkEnv.sh
. "$ZOOBINDIR/zkEnv.sh"
require_zabra

directories=()
if [[ $1 == -* ]]; then
  data_dir=$(cfg_value dataDir "$ZOOCFG")
  data_log_dir=$(cfg_value dataLogDir "$ZOOCFG")
  [[ -n $data_log_dir ]] && directories+=("$data_log_dir")
  [[ -n $data_dir ]] && directories+=("$data_dir")
fi

exec "$ZABRA" purge "${directories[@]}" "$@"
