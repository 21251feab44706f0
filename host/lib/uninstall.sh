#!/usr/bin/env bash
# install.sh --uninstall: what came with us goes, and nothing else. Docker stays. By labels and lists, not by the
# compose file, so that an installation that is half there or half gone can be removed, too.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

TROUBLES=()

# try WHAT COMMAND…: goes on where it fails, and tells it at the end.
try() {
    local what=$1
    shift
    run "$@" || TROUBLES+=("$what: $(last_words 1)")
}

run_uninstall() {
    prepare
    if [ ! -d "$MTPROTO_HOME" ]; then
        say "Nothing is installed in $MTPROTO_HOME."
        return
    fi
    if [ ! -e "$MTPROTO_HOME/.env" ] && [ ! -d "$MTPROTO_HOME/releases" ]; then
        fail "$MTPROTO_HOME was not made by this script (no .env, no releases), so it is left alone."
    fi
    confirm_removal
    STEPS=4
    take_lock
    step "Containers and networks"
    remove_units
    remove_containers
    step "Firewall"
    with_firewall_lock firewall_remove
    if [ "$FIREWALL_FAILED" = yes ]; then TROUBLES+=("firewall: some rules are left; the lines above say which"); fi
    remove_fail2ban
    step "Images"
    remove_images
    step "Files"
    remove_swap
    remove_files
    end_step
    if [ ${#TROUBLES[@]} -gt 0 ]; then
        printf '\ninstall.sh: not everything could be removed:\n' >&2
        printf '  %s\n' "${TROUBLES[@]}" >&2
        exit 1
    fi
    if [ "$KEEP_DATA" = yes ]; then
        say "Removed. The data is still in $MTPROTO_HOME/data, and the answers in $MTPROTO_HOME/.env."
    else
        say "Removed. Docker is still there."
    fi
}

confirm_removal() {
    local answer
    find_terminal
    if [ "$ASK" = no ]; then return; fi
    [ -n "$TERMINAL" ] || fail_answer "--uninstall asks before it removes anything, and there is no terminal: add --yes."
    if [ "$KEEP_DATA" = yes ]; then
        printf 'Remove the panel and all proxies? The data in %s/data stays. Type yes: ' "$MTPROTO_HOME" >&2
    else
        printf 'Remove the panel, all proxies, and the data in %s with all users and their keys? Type yes: ' "$MTPROTO_HOME" >&2
    fi
    IFS= read -r answer <"$TERMINAL" || answer=""
    if [ "$answer" != yes ]; then
        say "Nothing was removed."
        exit 0
    fi
}

remove_units() {
    local file
    while IFS= read -r file; do
        case $file in
            */systemd/system/*) if command -v systemctl >/dev/null; then run systemctl disable --now "$(basename "$file")" || true; fi ;;
        esac
    done < <(cat "$MTPROTO_HOME/.files" 2>/dev/null || true)
}

remove_containers() {
    local ours=label=com.docker.compose.project=mtproto found network
    if ! command -v docker >/dev/null || ! wait_for_docker; then
        if command -v dockerd >/dev/null; then
            TROUBLES+=("Docker does not answer, so its containers and images were left: $(docker_remedy), then again")
        fi
        return
    fi
    # The panel first, as it would start its proxies again.
    found=$(docker ps -aq --filter "$ours" </dev/null)
    # shellcheck disable=SC2086
    if [ -n "$found" ]; then try "containers" docker rm -fv $found; fi
    network=$(env_get PROXY_NETWORK)
    found=$(docker ps -aq --filter "network=${network:-mtproto-net}" --filter label=mtproto.managed=1 </dev/null)
    # shellcheck disable=SC2086
    if [ -n "$found" ]; then try "proxies" docker rm -fv $found; fi
    found=$(docker network ls -q --filter "$ours" </dev/null)
    # shellcheck disable=SC2086
    if [ -n "$found" ]; then try "networks" docker network rm $found; fi
    found=$(docker volume ls -q --filter "$ours" </dev/null)
    # shellcheck disable=SC2086
    if [ -n "$found" ]; then try "volumes" docker volume rm $found; fi
}

remove_images() {
    local reference
    docker_answers || return 0
    while IFS= read -r reference; do
        if has_image "$reference"; then
            # Without force: what a container of somebody else runs on stays.
            run docker rmi "$reference" || note "$reference stays: it is in use"
        fi
    done < <(cat "$MTPROTO_HOME/.images" 2>/dev/null || true)
    # Another name that the panel gives its image, for the built-in engine.
    for reference in $(docker images --format '{{.Repository}}:{{.Tag}}' mtproto-builtin </dev/null); do
        run docker rmi "$reference" || true
    done
    for reference in $(docker images -q --filter dangling=true --filter label=mtproto.source </dev/null) \
        $(docker images -q --filter dangling=true --filter label=mtproto.stage </dev/null); do
        run docker rmi "$reference" || true
    done
}

remove_swap() {
    local file=$MTPROTO_HOME/swap
    if grep -q '# mtproto$' "$FSTAB" 2>/dev/null; then sed '/# mtproto$/d' "$FSTAB" | write_file "$FSTAB" 0644; fi
    if grep -qF "$file " "$PROC/swaps" 2>/dev/null; then try "swap file" swapoff "$file"; fi
}

remove_files() {
    local file
    while IFS= read -r file; do
        try "$file" rm -f "$file"
    done < <(cat "$MTPROTO_HOME/.files" 2>/dev/null || true)
    if command -v systemctl >/dev/null; then run systemctl daemon-reload || true; fi
    # What is left to remove next time is known until the end.
    if [ ${#TROUBLES[@]} -gt 0 ]; then return; fi
    if [ "$KEEP_DATA" = yes ]; then
        try "$MTPROTO_HOME" find "$MTPROTO_HOME" -mindepth 1 -maxdepth 1 ! -name data ! -name .env -exec rm -rf {} +
    else
        try "$MTPROTO_HOME" rm -rf "$MTPROTO_HOME"
    fi
}
