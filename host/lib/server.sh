#!/usr/bin/env bash
# install.sh on a server: the steps, in their order. Each may be broken off and done again.
# Sourced by install.sh, which sets HERE and has read the options.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

for part in log files os room checks engine addresses ports kept_ports packages docker stack images questions router older frontend tree panel firewall firewall_places firewall_limits rotation fail2ban uninstall; do
    # shellcheck disable=SC1090
    . "$HERE/host/lib/$part.sh"
done

FSTAB=$ETC/fstab
MTPROTO_BIN=${MTPROTO_BIN:-/usr/local/bin}
PASSWORD_WAS_SHOWN=no
PANEL_IMAGE=""
# How this is called again, for messages.
AGAIN=""

# Before anything is looked at: names, the log, what happens when this is broken off.
prepare() {
    umask 022
    MTPROTO_HOME=${MTPROTO_HOME:-/opt/mtproto}
    refuse_odd_home
    AGAIN="bash '$HERE/install.sh'"
    if [ -n "${MTPROTO_UNPACKED:-}" ]; then AGAIN="curl … | sudo bash -s --"; fi
    if [ "$MTPROTO_HOME" != /opt/mtproto ]; then AGAIN+=" --home '$MTPROTO_HOME'"; fi
    begin_log
    trap clean_up EXIT
    trap 'broken_off INT 130' INT
    trap 'broken_off TERM 143' TERM
    trap 'broken_off HUP 129' HUP
}

clean_up() {
    if [ -n "${MTPROTO_UNPACKED:-}" ]; then rm -rf "$MTPROTO_UNPACKED"; fi
    case $LOG in "$MTPROTO_HOME"/*) ;; *) rm -f "$LOG" ;; esac
}

broken_off() {
    trap - INT TERM HUP
    log "broken off by $1"
    printf '\nBroken off. What was done so far stays; run the same command again, and it goes on from there.\n' >&2
    exit "$2"
}

run_server() {
    STEPS=8
    prepare
    find_version
    PANEL_IMAGE=mtproto-panel:$VERSION
    find_terminal

    step "Looking at this server, for version $VERSION"
    detect_os
    describe_system
    check_memory
    check_disk
    check_clock_and_network
    report_others
    await_docker
    find_older
    ask_questions
    choose_ports

    # From here on something is changed.
    make_home
    take_lock
    keep_log "$MTPROTO_HOME/install.log"
    write_answers

    step "Packages and Docker"
    install_base_packages
    make_swap
    find_address
    check_where_domain_leads
    provide_docker

    step "Files"
    place_tree
    make_data_folder
    take_over_older
    install_host_command
    install_log_rotation

    step "Images"
    choose_bases
    provide_images

    step "Containers"
    choose_networks
    write_answers
    write_settings_of_stack
    if [ "$ROUTER" = traefik ]; then provide_traefik; fi
    switch_to "$TREE"
    start_stack

    step "Settings and the first user"
    if [ -e "$MTPROTO_HOME/first-login" ]; then PASSWORD_WAS_SHOWN=yes; fi
    apply_settings
    add_first_user
    read_first_password
    tell_of_older

    step "Firewall and HTTPS"
    open_firewall
    set_up_fail2ban
    ask_for_certificate

    step "Does the first proxy lead to Telegram?"
    probe_first_user
    end_step
    if [ -n "${MTPROTO_UNPACKED:-}" ]; then
        AGAIN="bash '$MTPROTO_HOME/current/install.sh'${AGAIN#*-s --}"
    fi
    print_closing_words
}

# The command mtproto, and those of MTProxy beside it, if this version has them.
install_host_command() {
    local name
    for name in mtproto mtproxy mtproxy-setup mtproxy-uninstall; do
        [ -e "$TREE/host/$name" ] || continue
        sed "s|^DEFAULT_HOME=.*|DEFAULT_HOME='$MTPROTO_HOME'|" "$TREE/host/$name" |
            install_file "$MTPROTO_BIN/$name" 0755
    done
    note "the command mtproto is in $MTPROTO_BIN"
}
