#!/usr/bin/env bash
# Ports that Docker keeps for nobody. When the power goes off while it starts a container, it publishes that one's ports
# again at its next start, and does not know for whom (moby/moby#20486): whoever needs them meets "port is already
# allocated". Only a start of Docker frees them.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (engine.sh, ports.sh, log.sh)

# ports_of_nobody: those that lead into our networks, and that no container has now; one a line.
ports_of_nobody() {
    local published
    # Docker writes 0.0.0.0:443->443/tcp.
    published=$(docker ps --format '{{.Ports}}' 2>/dev/null </dev/null) || return 0
    proxied_to_us | grep -vxF -f <(grep -oE '[0-9]+->' <<<"$published" | tr -d '>-') || true
}

# kept_ports: those that stay so, on one line; nothing if there are none. A container that is being started has its ports
# before it is listed: on a small server, for seconds.
kept_ports() {
    local kept try
    kept=$(ports_of_nobody)
    for try in {1..10}; do
        if [ -z "$kept" ]; then return; fi
        sleep "${MTPROTO_POLL_SECONDS:-3}"
        kept=$(grep -xF -f <(ports_of_nobody) <<<"$kept" || true)
    done
    paste -sd ' ' - <<<"$kept"
}

# free_kept_ports: Docker is started anew where that helps, and where nobody else has containers that run.
free_kept_ports() {
    local kept others
    kept=$(kept_ports)
    [ -n "$kept" ] || return 0
    others=$(grep -vxF -f <(docker ps -q --filter label=com.docker.compose.project=mtproto </dev/null
        docker ps -q --filter label=mtproto.managed=1 </dev/null) <<<"$(docker ps -q </dev/null)" | grep . || true)
    if [ -n "$others" ]; then
        fail "Docker keeps ports for a container that is not there any more, as after a power cut: $kept. A restart frees
them; all containers of this server are started anew by that, and some are not of this installation." "systemctl restart docker"
    fi
    warn "Docker keeps ports for a container that is not there any more, as after a power cut: $kept. It is restarted"
    if [ -d "${MTPROTO_ROOT:-}/run/systemd/system" ]; then
        run systemctl restart docker || fail_run "Docker could not be restarted." "$DOCKER_LOG"
    else
        run service docker restart 9>&- || fail_run "Docker could not be restarted." "$DOCKER_LOG"
    fi
    require_docker
}
