#!/usr/bin/env bash
# Packages of the distribution, by one table of commands for each package manager.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

# Debian, Ubuntu: another mirror for what this installation needs; the system's own list of sources is left alone.
APT_MIRROR=${MTPROTO_APT_MIRROR:-}
ETC=${MTPROTO_ETC:-/etc}

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a
# Wait for the nightly updates instead of failing beside them.
APT_OPTIONS=(-y -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
PACKAGES_READ=no

# program:package of apt:package of dnf
BASE_PROGRAMS="curl:curl:curl ss:iproute2:iproute ip:iproute2:iproute tar:tar:tar gzip:gzip:gzip flock:util-linux:util-linux"

manager() {
    case $MANAGER in
        apt) apt-get "${APT_OPTIONS[@]}" "$@" ;;
        *) "$MANAGER" -y -q "$@" ;;
    esac
}

# Once a run: what the repositories offer.
read_packages() {
    local try
    [ "$PACKAGES_READ" = no ] || return 0
    if [ "$MANAGER" = apt ]; then
        finish_broken_packages
        use_apt_mirror
        # The lists have a lock of their own, which apt does not wait for.
        for try in 1 2 3; do
            if run manager update; then break; fi
            [ "$try" -lt 3 ] || fail_run "the package lists can't be read (apt-get update). Another mirror is named by \
MTPROTO_APT_MIRROR." "apt-get update"
            sleep "${MTPROTO_RETRY_SECONDS:-5}"
        done
    else
        run manager makecache || fail_run "the package lists can't be read ($MANAGER makecache)." "$MANAGER makecache"
    fi
    PACKAGES_READ=yes
}

# A power cut in the middle of an installation leaves packages that are unpacked and not configured.
finish_broken_packages() {
    if [ -n "$(dpkg --audit 2>/dev/null)" ]; then
        note "finishing an installation of packages that was broken off"
        run dpkg --configure -a || fail_run "packages that were broken off can't be finished." "dpkg --configure -a"
    fi
}

use_apt_mirror() {
    local list=$MTPROTO_HOME/apt.list security=
    [ -n "$APT_MIRROR" ] || return 0
    case $DISTRIBUTION in
        ubuntu) printf 'deb %s %s main universe\n' "$APT_MIRROR" "$OS_CODENAME" "$APT_MIRROR" "$OS_CODENAME-updates" ;;
        *) printf 'deb %s %s main\n' "$APT_MIRROR" "$OS_CODENAME" "$APT_MIRROR" "$OS_CODENAME-updates" ;;
    esac | write_file "$list" 0644
    security=$ETC/apt/mtproto-none
    APT_OPTIONS+=(-o "Dir::Etc::sourcelist=$list" -o "Dir::Etc::sourceparts=$security")
    note "packages come from $APT_MIRROR"
}

# candidate PACKAGE: the version that could be installed, nothing if there is none.
candidate() {
    case $MANAGER in
        apt) apt-cache "${APT_OPTIONS[@]:2}" policy "$1" 2>/dev/null |
            sed -n 's/^  Candidate: //p' | grep -vx '(none)' | head -n 1 || true ;;
        *) "$MANAGER" -q list --available "$1" 2>/dev/null | awk -v name="$1" 'index($1, name ".") == 1 { print $2; exit }' || true ;;
    esac
}

# install WHAT PACKAGE…: WHAT for the message.
install_packages_of_system() {
    local what=$1
    shift
    [ $# -gt 0 ] || return 0
    read_packages
    note "installing $*"
    case $MANAGER in
        apt) run manager --no-install-recommends install "$@" ;;
        *) run manager install "$@" ;;
    esac || fail_run "$what could not be installed ($*)." "$(install_command "$@")"
}

# install_command PACKAGE…: as a person types it.
install_command() {
    case $MANAGER in
        apt) printf 'apt-get update && apt-get install -y %s' "$*" ;;
        *) printf '%s install -y %s' "$MANAGER" "$*" ;;
    esac
}

install_base_packages() {
    local entry program apt rpm wanted=()
    for entry in $BASE_PROGRAMS; do
        IFS=: read -r program apt rpm <<<"$entry"
        if command -v "$program" >/dev/null; then continue; fi
        if [ "$MANAGER" = apt ]; then wanted+=("$apt"); else wanted+=("$rpm"); fi
    done
    if [ ! -e "$ETC/ssl/certs/ca-certificates.crt" ] && [ ! -e "$ETC/pki/tls/certs/ca-bundle.crt" ]; then
        wanted+=(ca-certificates)
    fi
    # Without its parser, Docker can't start a container where the kernel has AppArmor on.
    if [ "$MANAGER" = apt ] && apparmor_is_on && ! command -v apparmor_parser >/dev/null; then wanted+=(apparmor); fi
    install_packages_of_system "what this needs first" "${wanted[@]+"${wanted[@]}"}"
    provide_nft
}

# For limits on new connections (firewall_limits.sh), without which everything else works.
provide_nft() {
    if command -v nft >/dev/null; then return; fi
    note "installing nftables"
    if [ "$MANAGER$PACKAGES_READ" = aptno ]; then run manager update || true; fi
    run manager install nftables || warn "nftables could not be installed: new connections are not limited until it is there"
}

apparmor_is_on() { [ "$(cat "$SYS/module/apparmor/parameters/enabled" 2>/dev/null)" = Y ]; }
