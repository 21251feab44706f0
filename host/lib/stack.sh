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

# router: what has port 443 of this installation, nginx or traefik (with nginx behind it).
router() {
    local wanted=${ROUTER:-}
    if [ -z "$wanted" ]; then wanted=$(sed -n 's/^MTPROTO_ROUTER=//p' "$MTPROTO_HOME/.env" 2>/dev/null | tail -n 1); fi
    # A release of before Traefik has nginx only.
    if [ "$wanted" = traefik ] && [ -e "$MTPROTO_HOME/current/docker-compose.traefik.yml" ]; then
        printf traefik
    else
        printf nginx
    fi
}

compose_version() { "${COMPOSE[@]}" version --short 2>/dev/null </dev/null || true; }

# What an `up` that was cut off has left: a container that was to take the place of another, never started, under a name of
# passage like 0123456789ab_mtproto-app-1. The next `up` would want that name again, and fail.
remove_half_made() {
    local id name
    while read -r id name; do
        if [[ $name =~ ^[0-9a-f]{12}_ ]]; then docker rm "$id" >/dev/null 2>&1 </dev/null || true; fi
    done < <(docker ps -a --filter label=com.docker.compose.project=mtproto --filter status=created \
        --format '{{.ID}} {{.Names}}' 2>/dev/null </dev/null)
}

# stack COMPOSE-ARGUMENT…: on this installation. What was chosen is in .env: variables of the shell that have the
# same names (VERSION, TZ, …) would come before it, so they stay out.
stack() {
    local kept=() name file=docker-compose.yml
    if [ "${1:-}" = up ]; then remove_half_made; fi
    if [ ${#COMPOSE[@]} -eq 0 ]; then
        find_compose || {
            printf 'Neither docker compose nor docker-compose (1.28 or newer) works here.\n' >&2
            return 1
        }
    fi
    if [ "$(router)" = traefik ]; then file=docker-compose.traefik.yml; fi
    for name in PATH HOME LANG LC_ALL DOCKER_HOST DOCKER_CONFIG DOCKER_CONTEXT DOCKER_CERT_PATH DOCKER_TLS_VERIFY \
        HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy XDG_CONFIG_HOME; do
        if [ -n "${!name+set}" ]; then kept+=("$name=${!name}"); fi
    done
    env -i "${kept[@]+"${kept[@]}"}" "${COMPOSE[@]}" --project-name mtproto \
        --project-directory "$MTPROTO_HOME/current" --env-file "$MTPROTO_HOME/.env" \
        -f "$MTPROTO_HOME/current/$file" "$@"
}

# panel COMMAND…: the panel's command line, in its container.
panel() { stack exec -T app python3 -m app.cli "$@"; }
