#!/usr/bin/env bash
#
# Starts, stops and asks a server, with the arguments, texts and exit codes of Apache ZooKeeper's script.
#
#   zkServer.sh [--config CONF_DIR] COMMAND [CONFIG_FILE]

ZOOBINDIR="$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)" || exit 1
# shellcheck source=bin/zkEnv.sh
. "$ZOOBINDIR/zkEnv.sh"

# There is no JMX here; the line is kept for those who read the output.
if [[ -z $JMXDISABLE || $JMXDISABLE == "false" ]]; then
  echo "ZooKeeper JMX enabled by default" >&2
else
  echo "JMX disabled by user request" >&2
fi

# A name is looked for in the configuration directory, a path is taken as it is.
if [[ $2 == */* ]]; then
  ZOOCFG=$2
elif [[ -n $2 ]]; then
  ZOOCFG="$ZOOCFGDIR/$2"
fi
echo "Using config: $ZOOCFG" >&2

data_dir=$(cfg_value dataDir "$ZOOCFG")
data_log_dir=$(cfg_value dataLogDir "$ZOOCFG")
pid_file=${ZOOPIDFILE:-${data_dir:-$ZOO_LOG_DIR}/zookeeper_server.pid}
user=${USER:-$(id -un)}
out_file="$ZOO_LOG_DIR/zookeeper-$user-server-${HOSTNAME:-localhost}.out"

# Without autocreation a missing directory is an error before anything is started.
prepare_dirs() {
  if [[ -n $ZOO_DATADIR_AUTOCREATE_DISABLE ]]; then
    if [[ ! -d "$data_dir/version-2" ]]; then
      echo "ZooKeeper data directory is missing at $data_dir fix the path or run initialize"
      exit 1
    fi
    if [[ -n $data_log_dir && ! -d "$data_log_dir/version-2" ]]; then
      echo "ZooKeeper txnlog directory is missing at $data_log_dir fix the path or run initialize"
      exit 1
    fi
    SERVER_JVMFLAGS="-Dzookeeper.datadir.autocreate=false $SERVER_JVMFLAGS"
  elif [[ -n $data_dir ]]; then
    mkdir -p "$data_dir"
  fi
  mkdir -p "$(dirname "$pid_file")" "$ZOO_LOG_DIR"
}

is_running() {
  local stat
  [[ -n $1 ]] && kill -0 "$1" 2>/dev/null || return 1
  # In a container nobody may collect what has ended.
  if { read -r stat <"/proc/$1/stat"; } 2>/dev/null; then
    [[ ${stat##*) } != Z* ]]
  fi
}

# Waits up to $2 tenths of a second for process $1 to end.
wait_for_end() {
  local tenths
  for ((tenths = 0; tenths < $2; tenths++)); do
    is_running "$1" || return 0
    sleep 0.1
  done
  return 1
}

start() {
  local pid
  prepare_dirs
  echo -n "Starting zookeeper ... "
  if [[ -f $pid_file ]] && is_running "$(cat "$pid_file")"; then
    echo "already running as process $(cat "$pid_file")."
    exit 1
  fi
  nohup "$ZABRA" server "$ZOOCFG" >"$out_file" 2>&1 </dev/null &
  pid=$!
  if ! { echo -n "$pid" >"$pid_file"; } 2>/dev/null; then
    echo "FAILED TO WRITE PID"
    kill "$pid"
    exit 1
  fi
  # A wrong configuration ends the server at once. ZABRA_START_WAIT is in tenths of a second.
  if wait_for_end "$pid" "${ZABRA_START_WAIT:-10}"; then
    echo "FAILED TO START"
    exit 1
  fi
  echo "STARTED"
}

start_foreground() {
  prepare_dirs
  if [[ -n $ZOO_NOEXEC ]]; then
    "$ZABRA" server "$ZOOCFG"
  else
    exec "$ZABRA" server "$ZOOCFG"
  fi
}

stop() {
  local pid
  echo -n "Stopping zookeeper ... "
  if [[ ! -f $pid_file ]]; then
    echo "no zookeeper to stop (could not find file $pid_file)"
    return 0
  fi
  pid=$(cat "$pid_file")
  kill "$pid"
  rm "$pid_file"
  # An orderly stop takes as long as the disk needs.
  wait_for_end "$pid" 100
  echo "STOPPED"
}

# Takes [ADDRESS:]PORT apart, brackets around an address of version 6 included.
split_client_address() {
  if [[ $1 =~ ^\[?([^]]*)\]?:([0-9]+)$ ]]; then
    client_host=${BASH_REMATCH[1]}
    client_port=${BASH_REMATCH[2]}
  elif [[ $1 =~ ^[0-9]+$ ]]; then
    client_port=$1
  fi
}

# The client address of the own server line, in zoo.cfg or in the dynamic file.
find_in_server_lines() {
  local myid line dynamic_file
  myid=$(head -n 1 "$data_dir/myid" 2>/dev/null)
  if ! [[ $myid =~ ^[0-9]+$ ]]; then
    echo "myid could not be determined, will not able to locate clientPort in the server configs."
    return
  fi
  line=$(cfg_value "server.$myid" "$ZOOCFG")
  if [[ $line != *";"* ]]; then
    echo "Client port not found in static config file. Looking in dynamic config file."
    dynamic_file=$(cfg_value dynamicConfigFile "$ZOOCFG")
    line=$(cfg_value "server.$myid" "$dynamic_file")
  fi
  if [[ $line != *";"* ]]; then
    echo "Client port not found in the server configs"
    return
  fi
  line=${line#*;}
  split_client_address "${line%%;*}"
}

status() {
  local client_host client_port mode is_ssl=false
  client_host=$(cfg_value clientPortAddress "$ZOOCFG")
  client_host=${client_host:-localhost}
  client_port=$(cfg_value clientPort "$ZOOCFG")
  if ! [[ $client_port =~ ^[0-9]+$ ]]; then
    client_port=""
    find_in_server_lines
  fi
  if [[ -z $client_port ]]; then
    echo "Client port not found. Looking for secureClientPort in the static config."
    client_port=$(cfg_value secureClientPort "$ZOOCFG")
    if [[ -z $client_port ]]; then
      echo "Unable to find either secure or unsecure client port in any configs. Terminating."
      exit 1
    fi
    is_ssl=true
    client_host=$(cfg_value secureClientPortAddress "$ZOOCFG")
    client_host=${client_host:-localhost}
  fi
  echo "Client port found: $client_port. Client address: $client_host. Client SSL: $is_ssl."
  if [[ $is_ssl == "true" ]]; then
    echo "Note: status cannot ask through TLS yet; give the server a clientPort on 127.0.0.1 for it."
  else
    # The one four-letter word that every server answers.
    mode=$("$ZABRA" word "$client_host" "$client_port" srvr 2>/dev/null | grep "^Mode")
  fi
  if [[ -z $mode ]]; then
    echo "Error contacting service. It is probably not running."
    exit 1
  fi
  echo "$mode"
}

case $1 in
  start)
    require_zabra
    start
    ;;
  start-foreground)
    require_zabra
    start_foreground
    ;;
  print-cmd)
    require_zabra
    echo "\"$ZABRA\" server \"$ZOOCFG\" > \"$out_file\" 2>&1 < /dev/null"
    ;;
  stop)
    stop
    ;;
  version)
    require_zabra
    "$ZABRA" version
    ;;
  restart)
    require_zabra
    stop
    start
    ;;
  status)
    require_zabra
    status
    ;;
  *)
    echo "Usage: $0 [--config <conf-dir>] {start|start-foreground|stop|version|restart|status|print-cmd}" >&2
    ;;
esac
