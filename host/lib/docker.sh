#!/usr/bin/env bash
# Docker and Compose: what is there is used; else the distribution's, else Docker's own repository.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

# Docker's own repository, or a mirror of it.
DOCKER_REPO=${MTPROTO_DOCKER_REPO:-https://download.docker.com}
OLDEST_DOCKER=20.10
# Compose before 1.28 knows no profiles.
OLDEST_COMPOSE=1.28
DOCKERS_OWN="docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin"

# One that is there and starting is waited for before anything is looked at: it knows whose the ports are that it holds.
await_docker() {
    if ! command -v docker >/dev/null || wait_for_docker || ! docker_is_coming; then return; fi
    fail "Docker is starting, or says that it runs, and does not answer: $DOCKER_SAID" "$DOCKER_LOG"
}

provide_docker() {
    refuse_other_dockers
    if ! command -v docker >/dev/null || ! command -v dockerd >/dev/null && ! docker_answers; then install_docker; fi
    start_docker
    free_kept_ports
    local version
    version=$(docker version --format '{{.Server.Version}}' 2>/dev/null </dev/null || true)
    if is_older "$version" "$OLDEST_DOCKER"; then
        fail "Docker $version is too old: $OLDEST_DOCKER or newer is needed. It was not replaced, as others may use it."
    fi
    provide_compose
    note "Docker $version, Compose $(compose_version)"
}

# Programs that are called docker and are something else.
refuse_other_dockers() {
    local program
    program=$(command -v docker || true)
    case $(readlink -f "${program:-/nonexistent}") in
        */snap/* | */snap) fail "Docker here is the one of snap, which can't read $MTPROTO_HOME. Remove it, if nobody else
uses it, and run the same command again." "snap remove docker" ;;
    esac
    if [ -n "$program" ] && docker --version 2>/dev/null </dev/null | grep -qi podman; then
        fail "docker on this server is Podman under that name, and this needs Docker itself. Remove the name, if nobody
else uses it; Podman may stay." "$MANAGER remove -y podman-docker"
    fi
}

install_docker() {
    read_packages
    if [ "$MANAGER" = apt ]; then
        distributions_compose
        if [ -n "$(candidate docker.io)" ] && [ -n "$COMPOSE_PACKAGE" ]; then
            note "Docker comes from $OS_NAME"
            # Debian 13 has the client in a package of its own.
            # shellcheck disable=SC2046
            install_packages_of_system Docker docker.io $(if [ -n "$(candidate docker-cli)" ]; then printf docker-cli; fi)
            return
        fi
        add_docker_repository_apt
    else
        add_docker_repository_rpm || {
            if [ -n "$(candidate moby-engine)" ]; then
                note "Docker comes from $OS_NAME, as $DOCKER_REPO does not answer"
                # shellcheck disable=SC2046
                install_packages_of_system Docker moby-engine $(if [ -n "$(candidate docker-compose)" ]; then printf docker-compose; fi)
                return
            fi
            no_docker
        }
    fi
    note "Docker comes from $DOCKER_REPO"
    # shellcheck disable=SC2086
    install_packages_of_system Docker $DOCKERS_OWN
}

no_docker() {
    fail_run "Docker can't be had: $OS_NAME does not offer it with a Compose that is new enough, and $DOCKER_REPO does \
not answer. A mirror of that is named by MTPROTO_DOCKER_REPO. Docker that was installed in another way is used as it is."
}

# Which package of this distribution holds a Compose that is new enough; nothing if none does.
COMPOSE_PACKAGE=""
distributions_compose() {
    local name version
    COMPOSE_PACKAGE=""
    for name in docker-compose-plugin docker-compose-v2 docker-compose; do
        version=$(candidate "$name")
        version=${version#*:}
        if [ -n "$version" ] && ! is_older "$version" "$OLDEST_COMPOSE"; then
            COMPOSE_PACKAGE=$name
            return
        fi
    done
}

add_docker_repository_apt() {
    local key=$ETC/apt/keyrings/docker.asc list=$ETC/apt/sources.list.d/docker.list base=$DOCKER_REPO/linux/$DISTRIBUTION
    mkdir -p "$ETC/apt/keyrings" "$ETC/apt/sources.list.d" || fail_writing "$key"
    run curl -fsSL --retry 2 --connect-timeout 15 -o "$key.new" "$base/gpg" || no_docker
    mv "$key.new" "$key"
    chmod 0644 "$key"
    printf 'deb [arch=%s signed-by=%s] %s %s stable\n' "$ARCH" "$key" "$base" "$OS_CODENAME" | write_file "$list" 0644
    # Beside the mirror of the distribution, where one is named.
    if [ -n "$APT_MIRROR" ]; then cat "$list" >>"$MTPROTO_HOME/apt.list"; fi
    PACKAGES_READ=no
    read_packages
    [ -n "$(candidate docker-ce)" ] || no_docker
}

add_docker_repository_rpm() {
    local file=$ETC/yum.repos.d/docker-ce.repo system=centos
    case $DISTRIBUTION in fedora | rhel) system=$DISTRIBUTION ;; esac
    mkdir -p "$ETC/yum.repos.d"
    run curl -fsSL --retry 2 --connect-timeout 15 -o "$file.new" "$DOCKER_REPO/linux/$system/docker-ce.repo" || return 1
    sed -i "s|https://download.docker.com|$DOCKER_REPO|g" "$file.new"
    mv "$file.new" "$file"
    PACKAGES_READ=no
    read_packages
    [ -n "$(candidate docker-ce)" ]
}

start_docker() {
    if docker_answers; then return; fi
    if [ -d "${MTPROTO_ROOT:-}/run/systemd/system" ]; then
        run systemctl enable --now docker || docker_does_not_start
    else
        # A daemon that a script starts would hold the lock for ever.
        run service docker start 9>&- || docker_does_not_start
    fi
    wait_for_docker || docker_does_not_start
}

docker_does_not_start() {
    log "docker version: $DOCKER_SAID"
    journalctl -u docker -n 20 --no-pager >>"$LOG" 2>&1 </dev/null || true
    fail_run "Docker is installed and does not start.$(container_hint)" "$DOCKER_LOG"
}

container_hint() { if in_container; then printf '\n%s' "$(host_settings)"; fi; }

provide_compose() {
    find_compose && return
    read_packages
    distributions_compose
    if [ -z "$COMPOSE_PACKAGE" ] && [ "$MANAGER" = apt ]; then
        add_docker_repository_apt
        distributions_compose
    elif [ -z "$COMPOSE_PACKAGE" ]; then
        add_docker_repository_rpm || true
        distributions_compose
    fi
    [ -n "$COMPOSE_PACKAGE" ] || no_docker
    install_packages_of_system Compose "$COMPOSE_PACKAGE"
    find_compose || fail "Compose was installed ($COMPOSE_PACKAGE), and neither docker compose nor docker-compose works."
}

# A container is the only proof. IMAGE is there already.
prove_docker() {
    local said
    if said=$(docker run --rm --network none --entrypoint sh "$1" -c 'echo it works' 2>&1 </dev/null) &&
        [ "${said##*$'\n'}" = "it works" ]; then
        note "a container runs"
        return
    fi
    log "$said"
    case $said in
        *apparmor*) if [ "$MANAGER" = apt ] && ! command -v apparmor_parser >/dev/null; then
            fail "no container can be started: AppArmor's tools are missing." "$(install_command apparmor)"
        fi ;;
    esac
    fail "Docker runs, and can't start a container. It says:
$said$(container_hint)" "docker run --rm --entrypoint sh '$1' -c 'echo it works'"
}
