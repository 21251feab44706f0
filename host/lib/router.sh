#!/usr/bin/env bash
# Which program has port 443: nginx, or Traefik with nginx behind it. The line MTPROTO_ROUTER in .env says so, and stack()
# goes by it. What Traefik needs on this server, install.sh and scripts/switch-router.sh do here.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

# one_before ADDRESS: the IPv4 address before it. Traefik's are those before the panel's and before nginx's.
one_before() { printf '%s.%s' "${1%.*}" $((${1##*.} - 1)); }

# provide_traefik: its image, its addresses, and the folder that the panel writes its routes into.
provide_traefik() {
    local folder panel edge
    must_pull "$TRAEFIK_IMAGE"
    for folder in "$MTPROTO_HOME/data/traefik" "$MTPROTO_HOME/data/traefik/dynamic"; do
        if [ -d "$folder" ]; then continue; fi
        # Docker would make it root's.
        mkdir -m 0755 "$folder" || fail_writing "$folder"
        chown "$(stat -c %u:%g "$MTPROTO_HOME/data")" "$folder" || fail_writing "$folder"
    done
    env_set TRAEFIK_IMAGE "$TRAEFIK_IMAGE" ROUTER_DIR "$MTPROTO_HOME/data/traefik/dynamic"
    panel=$(env_get PANEL_IP) edge=$(env_get EDGE_IP)
    if [ -n "$panel$edge" ] && ! env_has TRAEFIK_IP; then
        env_set TRAEFIK_IP "$(one_before "$panel")" TRAEFIK_EDGE_IP "$(one_before "$edge")"
    fi
}
