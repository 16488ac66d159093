# shellcheck shell=bash
#
# Sourced by the other scripts: finds the configuration directory, the log directory and the zabra program.
#
#   ZOOCFGDIR    configuration directory; `--config DIR` as first arguments wins; ../conf or ../etc/zookeeper
#   ZOOCFG       name of the configuration file in it, or a path; zoo.cfg
#   ZOO_LOG_DIR  where output of a server in the background goes; ../logs
#   ZABRA        the program; ../target/release/zabra, then zabra beside the scripts, then in PATH
#
# zookeeper-env.sh and java.env in the configuration directory are shell fragments that may set these and the JVMFLAGS,
# whose -D words zabra reads itself.

ZOOBINDIR="${ZOOBINDIR:-/usr/bin}"
ZOOKEEPER_PREFIX="$ZOOBINDIR/.."

# Sourced without arguments, so that this takes them from the calling script.
if [[ $# -gt 1 && $1 == "--config" ]]; then
  ZOOCFGDIR=$2
  shift 2
fi

if [[ -z $ZOOCFGDIR ]]; then
  if [[ -e "$ZOOKEEPER_PREFIX/conf" ]]; then
    ZOOCFGDIR="$ZOOKEEPER_PREFIX/conf"
  else
    ZOOCFGDIR="$ZOOKEEPER_PREFIX/etc/zookeeper"
  fi
fi

if [[ -f "$ZOOCFGDIR/zookeeper-env.sh" ]]; then
  # shellcheck source=/dev/null
  . "$ZOOCFGDIR/zookeeper-env.sh"
fi
ZOOCFG=${ZOOCFG:-zoo.cfg}
[[ $ZOOCFG == */* ]] || ZOOCFG="$ZOOCFGDIR/$ZOOCFG"
if [[ -f "$ZOOCFGDIR/java.env" ]]; then
  # shellcheck source=/dev/null
  . "$ZOOCFGDIR/java.env"
fi

ZOO_LOG_DIR=${ZOO_LOG_DIR:-$ZOOKEEPER_PREFIX/logs}

# The flags go through the environment, never through a command line, where everyone could read a password in them.
export SERVER_JVMFLAGS JVMFLAGS

if [[ -z $ZABRA ]]; then
  for candidate in "$ZOOKEEPER_PREFIX/target/release/zabra" "$ZOOBINDIR/zabra" "$(type -p zabra)"; do
    if [[ -n $candidate && -x $candidate ]]; then
      ZABRA=$candidate
      break
    fi
  done
fi

# Ends the script if there is no program to call.
require_zabra() {
  if [[ -z $ZABRA ]]; then
    echo "Error: zabra was not found; set ZABRA to its path, or build it with cargo build --release" >&2
    exit 1
  fi
}

# cfg_value KEY FILE: the last value of KEY in a properties file, without blanks around it.
cfg_value() {
  local key=${1//./\\.}
  sed -n -e "s/^[[:space:]]*${key}[[:space:]]*[=:][[:space:]]*\(.*\)\$/\1/p" "$2" 2>/dev/null |
    tail -n 1 | sed -e 's/[[:space:]]*$//'
}
