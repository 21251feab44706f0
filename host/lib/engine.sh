#!/usr/bin/env bash
# Does the Docker engine answer? After a start of the server it does so late: it starts its containers first.
# Needs no other part.

# What Docker said when it was last asked and did not answer; one line.
DOCKER_SAID=""

docker_answers() {
    local said
    # With a bound: systemd's socket takes a question long before there is an engine to answer it.
    # In the foreground: whoever ends this script, by Ctrl-C, too, ends what it waits for.
    if said=$(timeout --foreground -k 5 20 docker version --format '{{.Server.Version}}' 2>&1 </dev/null); then
        DOCKER_SAID=""
        return
    fi
    said=${said##*$'\n'}
    DOCKER_SAID=${said:-nothing at all}
    return 1
}

# docker_is_coming: is its service starting, or running already? (One that is off is not waited for.)
docker_is_coming() {
    local comm name
    if [ -d "${MTPROTO_ROOT:-}/run/systemd/system" ]; then
        case $(systemctl is-active docker 2>/dev/null </dev/null || true) in
            active | activating | reloading) return 0 ;;
        esac
        # Its turn comes: the server itself is starting.
        case $(systemctl is-system-running 2>/dev/null </dev/null || true) in
            initializing | starting) systemctl is-enabled docker >/dev/null 2>&1 </dev/null && return 0 ;;
        esac
        return 1
    fi
    for comm in "${MTPROTO_PROC:-/proc}"/[0-9]*/comm; do
        { read -r name <"$comm"; } 2>/dev/null || continue
        if [ "$name" = dockerd ]; then return 0; fi
    done
    return 1
}

# wait_for_docker: for as long as it is starting, up to MTPROTO_DOCKER_WAIT seconds. 1 where it does not answer.
wait_for_docker() {
    local began=$SECONDS told=no
    until docker_answers; do
        docker_is_coming || return 1
        [ $((SECONDS - began)) -lt "${MTPROTO_DOCKER_WAIT:-300}" ] || return 1
        if [ "$told" = no ]; then
            printf '      waiting for Docker, which is starting\n' >&2
            told=yes
        fi
        sleep "${MTPROTO_POLL_SECONDS:-1}"
    done
}

DOCKER_LOG="systemctl status docker; journalctl -u docker -n 50"

# docker_remedy: the command for somebody whose Docker does not answer.
docker_remedy() { if docker_is_coming; then printf '%s' "$DOCKER_LOG"; else printf 'systemctl start docker'; fi; }

# require_docker: waits for it, and fails where it does not answer.
require_docker() { wait_for_docker || fail "Docker does not answer: $DOCKER_SAID" "$(docker_remedy)"; }
