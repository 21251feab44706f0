# shellcheck shell=bash
# An installation on a server: its folder, its lock, its settings in .env, its containers. Sourced after log.sh.
#
#   MTPROTO_HOME/releases/VERSION   a complete tree each
#   MTPROTO_HOME/current            symlink to the one that serves
#   MTPROTO_HOME/data, .env, .lock

MTPROTO_HOME=${MTPROTO_HOME:-/opt/mtproto}
#: Compose's name for the containers, networks and volumes of an installation.
PROJECT=mtproto

COMPOSE=()

# lock_home: no other installation, update or removal here meanwhile; the lock ends with this process.
lock_home() {
    exec 9>>"$MTPROTO_HOME/.lock" || fail "$MTPROTO_HOME/.lock can't be written: is the disk full, or read-only?"
    flock -n 9 || fail "another installation, update or removal is under way in $MTPROTO_HOME. Nothing was changed:
wait until it has ended." "fuser -v '$MTPROTO_HOME/.lock'"
}

find_compose() {
    [ ${#COMPOSE[@]} -eq 0 ] || return 0
    if docker compose version >/dev/null 2>&1; then
        COMPOSE=(docker compose)
    elif command -v docker-compose >/dev/null; then
        COMPOSE=(docker-compose)
    else
        fail "Docker Compose is not installed: neither docker compose nor docker-compose answers."
    fi
}

# stack ARG…: compose for this installation. Only .env says how it is set up, and never this shell's environment.
stack() {
    local name keep=()
    find_compose
    for name in PATH HOME LANG TERM http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY \
        DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_BUILDKIT \
        COMPOSE_DOCKER_CLI_BUILD; do
        [ -z "${!name+set}" ] || keep+=("$name=${!name}")
    done
    # Without the lock: nothing that compose starts may hold it longer than this process.
    env -i "${keep[@]}" "${COMPOSE[@]}" --project-name "$PROJECT" --project-directory "$MTPROTO_HOME/current" \
        --env-file "$MTPROTO_HOME/.env" --file "$MTPROTO_HOME/current/docker-compose.yml" "$@" 9>&-
}

# setting NAME: its value in .env, nothing if it is not there.
setting() {
    [ -e "$MTPROTO_HOME/.env" ] || return 0
    sed -n "s/^$1=//p" "$MTPROTO_HOME/.env" | tail -n 1
}

# set_setting NAME=VALUE…: into .env, all of them or none.
set_setting() {
    local file=$MTPROTO_HOME/.env new=$MTPROTO_HOME/.env.new pair
    (
        umask 077
        if [ -e "$file" ]; then cp "$file" "$new" || exit; else : >"$new" || exit; fi
        for pair in "$@"; do
            { grep -v "^${pair%%=*}=" "$new" || [ $? -eq 1 ]; } >"$new.part" || exit
            printf '%s\n' "$pair" >>"$new.part" || exit
            mv -f "$new.part" "$new" || exit
        done
        sync "$new" 2>/dev/null || true
        mv -f "$new" "$file"
    ) || fail "$file can't be written; it is as it was. Is the disk full, or read-only?"
}

# point_current VERSION: `current` leads to that release from one moment to the next.
point_current() {
    rm -f "$MTPROTO_HOME/current.new"
    ln -s "releases/$1" "$MTPROTO_HOME/current.new" &&
        mv -fT "$MTPROTO_HOME/current.new" "$MTPROTO_HOME/current"
}
