#!/usr/bin/env bash
# Compose, called in one way everywhere. Also sourced by update.sh and the command mtproto; needs MTPROTO_HOME only.

MTPROTO_HOME=${MTPROTO_HOME:-/opt/mtproto}
COMPOSE=()

# Sets COMPOSE to what works here: the plugin of Docker, or docker-compose 1.28 and newer.
find_compose() {
    local version
    if version=$(docker compose version --short 2>/dev/null </dev/null) && [ -n "$version" ]; then
        COMPOSE=(docker compose)
    elif version=$(docker-compose version --short 2>/dev/null </dev/null) &&
        [ "$(printf '1.28\n%s\n' "${version#v}" | sort -V | head -n 1)" = 1.28 ]; then
        COMPOSE=(docker-compose)
    else
        COMPOSE=()
        return 1
    fi
}

compose_version() { "${COMPOSE[@]}" version --short 2>/dev/null </dev/null || true; }

# stack COMPOSE-ARGUMENT…: on this installation. What was chosen is in .env: variables of the shell that have the
# same names (VERSION, TZ, …) would come before it, so they stay out.
stack() {
    local kept=() name
    if [ ${#COMPOSE[@]} -eq 0 ]; then
        find_compose || {
            printf 'Neither docker compose nor docker-compose (1.28 or newer) works here.\n' >&2
            return 1
        }
    fi
    for name in PATH HOME LANG LC_ALL DOCKER_HOST DOCKER_CONFIG DOCKER_CONTEXT DOCKER_CERT_PATH DOCKER_TLS_VERIFY \
        HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy XDG_CONFIG_HOME; do
        if [ -n "${!name+set}" ]; then kept+=("$name=${!name}"); fi
    done
    env -i "${kept[@]+"${kept[@]}"}" "${COMPOSE[@]}" --project-name mtproto \
        --project-directory "$MTPROTO_HOME/current" --env-file "$MTPROTO_HOME/.env" \
        -f "$MTPROTO_HOME/current/docker-compose.yml" "$@"
}

# panel COMMAND…: the panel's command line, in its container.
panel() { stack exec -T app python3 -m app.cli "$@"; }
