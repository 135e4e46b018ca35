#!/bin/sh
# ensure:  see to it that a Docker engine answers, or warn once that process sandboxes will be used.
# answers: whether one does.
# stop:    end the engine that `ensure` started from this checkout, and no other.
set -eu
cd "$(dirname "$0")/.."
state=.faas/docker
pid_file=$state/dockerd.pid
log=$state/dockerd.log

say() { printf 'setup: %s\n' "$*" >&2; }

# A client may be there without an engine, so the engine itself is asked.
answers() {
    .venv/bin/python -W ignore -c 'import docker; docker.from_env(timeout=5).ping()' >/dev/null 2>&1
}

warn() {
    say "WARNING: no Docker engine ($1): functions will run in process sandboxes, which isolate nothing"
    [ "${FAAS_REQUIRE_DOCKER:-0}" != 1 ]
}

ours() {
    pid=$(cat "$pid_file" 2>/dev/null) || return 1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF -- "--pidfile $PWD/$pid_file"
}

install_engine() {
    command -v apt-get >/dev/null 2>&1 || return 1
    say "installing docker.io, iptables, ca-certificates and mmdebstrap"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >/dev/null &&
        apt-get install -qq -y --no-install-recommends docker.io iptables ca-certificates mmdebstrap >/dev/null
}

start_engine() {
    mkdir -p "$state"
    if [ -d /run/systemd/system ] && systemctl start docker >>"$log" 2>&1; then
        return
    fi
    ours && return
    setsid dockerd --pidfile "$PWD/$pid_file" "$@" >>"$log" 2>&1 </dev/null &
}

wait_for_engine() {
    tries=0
    while [ "$tries" -lt 60 ]; do
        answers && return
        # An engine that gave up is not waited for; the first seconds are its own.
        if [ "$tries" -gt 6 ] && ! ours && [ ! -d /run/systemd/system ]; then return 1; fi
        sleep 0.5
        tries=$((tries + 1))
    done
    return 1
}

ensure() {
    answers && return
    [ "$(id -u)" = 0 ] || { warn "and not root, so none can be started"; return; }
    command -v dockerd >/dev/null 2>&1 || install_engine || { warn "it could not be installed"; return; }
    say "starting the Docker engine (log: $log)"
    start_engine
    wait_for_engine && return
    say "it did not start: trying again without a network of its own"
    stop
    start_engine --iptables=false --ip6tables=false --bridge=none
    wait_for_engine || warn "it did not start, see $log"
}

stop() {
    ours || return 0
    say "ending the Docker engine that set-up started (process $pid)"
    kill "$pid"
    while [ -d "/proc/$pid" ]; do sleep 0.2; done
}

case "${1:-}" in
    ensure) ensure ;;
    answers) answers ;;
    stop) stop ;;
    *) echo "usage: tools/docker.sh ensure|answers|stop" >&2; exit 2 ;;
esac
