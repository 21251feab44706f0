#!/usr/bin/env bash
# Which system this is: distribution, package manager, processor, virtualization.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

OS_RELEASE=${MTPROTO_OS_RELEASE:-/etc/os-release}
PROC=${MTPROTO_PROC:-/proc}
SYS=${MTPROTO_SYS:-/sys}

# The oldest version that is supported, by ID of os-release.
declare -A OLDEST=([ubuntu]=20.04 [debian]=11 [centos]=8 [rocky]=8 [almalinux]=8 [rhel]=8 [ol]=8 [fedora]=36)
SUPPORTED="Ubuntu 20.04, Debian 11, CentOS/Rocky/Alma Linux 8, Fedora 36, each or newer"

OS_ID="" OS_VERSION="" OS_NAME="" OS_LIKE="" OS_CODENAME=""
# apt, dnf or yum; and the distribution that packages are asked for as (a derivative's parent).
MANAGER="" DISTRIBUTION=""
ARCH="" VIRTUALIZATION=""

# os_field NAME: a value of os-release, without its quotes.
os_field() { sed -n "s/^$1=//p" "$OS_RELEASE" | tail -n 1 | sed 's/^"\(.*\)"$/\1/; s/^'"'"'\(.*\)'"'"'$/\1/'; }

detect_os() {
    [ -r "$OS_RELEASE" ] || fail "this system does not say what it is ($OS_RELEASE is missing). Supported are
$SUPPORTED. With Docker installed by hand: docs/docker.md"
    OS_ID=$(os_field ID) OS_VERSION=$(os_field VERSION_ID) OS_LIKE=$(os_field ID_LIKE)
    OS_NAME=$(os_field PRETTY_NAME)
    OS_NAME=${OS_NAME:-$OS_ID $OS_VERSION}
    OS_CODENAME=$(os_field UBUNTU_CODENAME)
    OS_CODENAME=${OS_CODENAME:-$(os_field VERSION_CODENAME)}
    choose_distribution
    choose_manager
    case $(uname -m) in
        x86_64 | amd64) ARCH=amd64 ;;
        aarch64 | arm64) ARCH=arm64 ;;
        *) fail "this processor is $(uname -m); the images are made for x86_64 (amd64) and aarch64 (arm64)." ;;
    esac
    VIRTUALIZATION=$(virtualization)
}

choose_distribution() {
    local like
    DISTRIBUTION=$OS_ID
    if [ -n "${OLDEST[$OS_ID]:-}" ]; then
        # Debian's testing has no number, and is newer than all that have one.
        if [ -n "$OS_VERSION" ] && is_older "$OS_VERSION" "${OLDEST[$OS_ID]}"; then
            fail "$OS_NAME is too old. Supported are
$SUPPORTED."
        fi
        return
    fi
    for like in $OS_LIKE; do
        if [ -n "${OLDEST[$like]:-}" ]; then
            DISTRIBUTION=$like
            warn "$OS_NAME was never tried; it is treated like $like, which it says it resembles"
            return
        fi
    done
    fail "$OS_NAME is not known here. Supported are
$SUPPORTED. With Docker installed by hand: docs/docker.md"
}

# is_older A B: is version A before B?
is_older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

choose_manager() {
    case $DISTRIBUTION in
        ubuntu | debian) MANAGER=apt ;;
        *) if command -v dnf >/dev/null; then MANAGER=dnf; else MANAGER=yum; fi ;;
    esac
    case $MANAGER in
        apt) command -v apt-get >/dev/null || fail "$OS_NAME should have apt-get, and has not." ;;
        yum) command -v yum >/dev/null || fail "$OS_NAME should have dnf or yum, and has neither." ;;
    esac
}

# What this system runs in: none (bare metal), kvm, …; lxc, openvz, docker for containers.
virtualization() {
    local found
    if command -v systemd-detect-virt >/dev/null; then
        found=$(systemd-detect-virt 2>/dev/null || true)
        if [ -n "$found" ]; then
            printf '%s' "$found"
            return
        fi
    fi
    if [ -d "$PROC/vz" ] && [ ! -d "$PROC/bc" ]; then
        printf openvz
    elif tr '\0' '\n' <"$PROC/1/environ" 2>/dev/null | grep -q '^container=lxc'; then
        printf lxc
    elif [ -e /.dockerenv ]; then
        printf docker
    elif grep -q '^flags.* hypervisor' "$PROC/cpuinfo" 2>/dev/null; then
        printf vm
    else
        printf none
    fi
}

in_container() { case $VIRTUALIZATION in lxc* | openvz | docker | podman | systemd-nspawn) true ;; *) false ;; esac; }

# What the owner of the host has to allow where this is a container: Docker makes containers in it.
host_settings() {
    case $VIRTUALIZATION in
        lxc*) printf 'This server is an LXC container. Its host has to allow containers inside: in Proxmox, Options ->
Features -> nesting and keyctl (pct set ID --features nesting=1,keyctl=1), then a restart of the container; elsewhere
security.nesting=true (LXD, Incus), or lxc.include = /usr/share/lxc/config/nesting.conf. If AppArmor stops Docker there,
the host has to give it its own: lxc.apparmor.profile = generated, lxc.apparmor.allow_nesting = 1' ;;
        openvz) printf 'This server is an OpenVZ container. Docker needs OpenVZ 7 (kernel 3.10 or newer), and the host has to
allow it: vzctl set ID --netfilter full --features bridge:on --save, then a restart of the container. Many providers do
not; a server with KVM is the way then' ;;
        docker | podman) printf 'This is a container itself. A Docker engine inside needs --privileged; better run this on the host' ;;
        systemd-nspawn) printf 'This is a container of systemd-nspawn. Its host has to allow containers inside:
SystemCallFilter=add_key keyctl bpf, and Capability=all' ;;
    esac
}

describe_system() {
    local where=$VIRTUALIZATION
    case $where in none) where="bare metal" ;; kvm) where=KVM ;; esac
    note "$OS_NAME, $ARCH, $where, $(getconf _NPROCESSORS_ONLN 2>/dev/null || printf '?') CPU, kernel $(uname -r)"
    if in_container; then
        say "$(host_settings | sed 's/^/    ! /')"
        if [ "$VIRTUALIZATION" = openvz ] && is_older "$(uname -r)" 3.10; then
            fail "Docker does not run on this kernel ($(uname -r)). Ask the provider for a server with KVM."
        fi
    fi
}
