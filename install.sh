#!/usr/bin/env bash
# Installs MTProto Proxy Manager on a server, with Docker; with --local, without Docker and without root, into this
# folder. May be run again at any time. Works alone, too (curl … | sudo bash): it then fetches its release first.
# shellcheck disable=SC2034  # what options say is read by the parts in host/lib
set -euo pipefail

# The release that this script fetches where it stands alone. scripts/release.sh writes both lines.
RELEASE_URL=""
RELEASE_SHA256=""

# The folder of the tree that this script stands in; empty where it stands alone.
HERE=""
MODE=server
STOP=no
FOREGROUND=no
START=yes
# Empty: as it is.
SERVICE_WANTED=""
BIND=127.0.0.1
PORT=""
DATA=""
VENV=""
ASK=yes
KEEP_DATA=no
# What options said to the questions, by the name of the question (host/lib/questions.sh).
declare -A GIVEN=()

usage() {
    cat <<'END'
Usage: sudo bash install.sh [options]            a server, with Docker
       sudo bash install.sh --uninstall          takes all of that away again
       bash install.sh --local [options]         this folder, without Docker and root

On a server: installs what is missing, starts the panel and a first proxy, and prints how to log in. Run it again to
repair: the data, and what was answered before, stay. Each option is also a variable, such as MTPROTO_DOMAIN. Without
a terminal nothing is asked: options, variables and defaults count.

  --domain D      host name that leads to this server (none)
  --https A       yes or no: the panel by HTTPS, under the domain, or without one at this server's address (yes)
  --tunnel        the same as --https no: the panel on this server only, through an SSH tunnel
  --panel-https-port P   port of the panel at this server's address (9443)
  --email A       address that the certificate authority may write to (none)
  --base-port P   port of the first user's proxy (2443)
  --port-443 A    yes or no: everybody on port 443 (no)
  --router A      nginx or traefik: what has port 443, traefik with nginx behind it (nginx)
  --naming A      own or pool: users' names on port 443 under the domain, or those of well-known sites (pool)
  --address A     IP address that goes into links where there is no domain (looked up)
  --first-user N  name of the first user (first)
  --port P        port of the panel on this machine (8080)
  --take-over F   the older installation in this folder: its users, links, passwords and traffic become this one's
  --fail2ban      let fail2ban, if it is here, ban addresses that keep trying wrong keys; --no-fail2ban takes that back
  --swap MB       make a swap file of this size where the memory is small (0: none)
  --images FILE   load the images from this archive of docker save first
  --home DIR      where everything goes (/opt/mtproto)
  --yes           ask nothing
  --uninstall     remove containers, images, networks, firewall rules, units and files; Docker stays
  --keep-data     with --uninstall: the data folder and the answers stay

Without Docker. No root is needed. Run it again to update: the data stays, live proxies are left alone.

  --local         into this folder, for this machine
  --port P        port of the panel (8080)
  --bind A        address of the panel (127.0.0.1: this machine only)
  --data DIR      folder of the declaration and the measurements (data)
  --foreground    stay in this terminal instead of going into the background
  --stop          stop the panel and its proxies; what is declared stays
  --no-start      install or update, start nothing
  --service       as a service of systemd, which starts it with the machine; --no-service takes that back
  --venv DIR      folder of the Python environment (.venv)
  --help          this text
END
}

say() { printf '==> %s\n' "$*"; }

# fail MESSAGE [COMMAND]: what is wrong, and the command that mends it.
fail() {
    printf '\ninstall.sh: %s\n' "$1" >&2
    if [ $# -gt 1 ]; then
        printf '\nThis mends it:\n\n    %s\n\n' "$2" >&2
    fi
    exit 1
}

misuse() {
    printf 'install.sh: %s\n\n' "$1" >&2
    usage >&2
    exit 2
}

# only MODE OPTION…: the options seen so far that belong to another mode are bad usage.
SEEN=()
refuse_options_of_another_mode() {
    local option
    for option in "${SEEN[@]+"${SEEN[@]}"}"; do
        case $MODE:$option in
            local:--port | local:--bind | local:--data | local:--foreground | local:--stop | local:--no-start | \
                local:--venv | local:--service | local:--no-service) ;;
            local:*) misuse "$option does not go with --local." ;;
            uninstall:--home | uninstall:--yes | uninstall:--keep-data) ;;
            uninstall:*) misuse "$option does not go with --uninstall." ;;
            server:--bind | server:--data | server:--foreground | server:--stop | server:--no-start | server:--venv | \
                server:--service | server:--no-service)
                misuse "$option goes with --local only." ;;
            server:--keep-data) misuse "$option goes with --uninstall only." ;;
        esac
    done
}

parse_options() {
    local name
    while [ $# -gt 0 ]; do
        case $1 in
            --local) MODE=local ;;
            --uninstall) MODE=uninstall ;;
            -h | --help)
                usage
                exit 0
                ;;
            --stop) STOP=yes ;;
            --foreground) FOREGROUND=yes ;;
            --no-start) START=no ;;
            --service) SERVICE_WANTED=yes ;;
            --no-service) SERVICE_WANTED=no ;;
            --yes) ASK=no ;;
            --tunnel) GIVEN[HTTPS]=no ;;
            --fail2ban) GIVEN[FAIL2BAN]=yes ;;
            --no-fail2ban) GIVEN[FAIL2BAN]=no ;;
            --keep-data) KEEP_DATA=yes ;;
            --port | --bind | --data | --venv | --home | --images)
                [ -n "${2:-}" ] || misuse "$1 needs a value."
                case $1 in
                    --port) PORT=$2 ;;
                    --bind) BIND=$2 ;;
                    --data) DATA=$(realpath -m -- "$2") ;;
                    --venv) VENV=$(realpath -m -- "$2") ;;
                    --home) MTPROTO_HOME=$(realpath -m -- "$2") ;;
                    --images) MTPROTO_IMAGES=$(realpath -m -- "$2") ;;
                esac
                SEEN+=("$1")
                shift
                ;;
            --domain | --https | --panel-https-port | --email | --base-port | --port-443 | --router | --naming | --address | \
                --first-user | --swap | --take-over)
                # An empty value is an answer, too: none.
                [ $# -gt 1 ] || misuse "$1 needs a value."
                name=${1#--}
                name=${name//-/_}
                GIVEN[${name^^}]=$2
                SEEN+=("$1")
                shift
                ;;
            *) misuse "unknown option: $1" ;;
        esac
        case $1 in
            --stop | --foreground | --no-start | --service | --no-service | --yes | --tunnel | --keep-data | --fail2ban | --no-fail2ban) SEEN+=("$1") ;;
        esac
        shift
    done
    if [ -n "$PORT" ] && { ! [[ $PORT =~ ^[1-9][0-9]{0,4}$ ]] || [ "$PORT" -gt 65535 ]; }; then
        misuse "--port $PORT: a whole number from 1 to 65535 is allowed."
    fi
    refuse_options_of_another_mode
}

# The folder that this script stands in, if the rest of its tree is there.
find_tree() {
    local script=${BASH_SOURCE[0]:-} folder
    [ -n "$script" ] || return 0
    folder=$(cd "$(dirname "$script")" && pwd)
    if [ -e "$folder/host/lib/server.sh" ]; then HERE=$folder; fi
}

require_root() {
    [ "$(uname -s)" = Linux ] || fail "a server with Linux is needed; this is $(uname -s)."
    if [ "$(id -u)" -ne 0 ]; then
        fail "on a server, root is needed: for Docker, the firewall and ${MTPROTO_HOME:-/opt/mtproto}.
Without root and without Docker: bash install.sh --local. With Docker, by hand: docs/docker.md" \
            "sudo bash install.sh"
    fi
}

# download URL FILE
download() {
    if command -v curl >/dev/null; then
        curl -fsSL --retry 2 --connect-timeout 15 -o "$2" "$1"
    elif command -v wget >/dev/null; then
        wget -q --timeout=30 --tries=3 -O "$2" "$1"
    else
        fail "neither curl nor wget is here, so the release can't be fetched." \
            "apt-get update && apt-get install -y curl    # or: dnf install -y curl"
    fi
}

# newest_of_place URL SHA256: sets NEWEST_URL and NEWEST_SHA256 to the newest release of a place (scripts/release.sh), or
# to what was said to be its checksum.
NEWEST_URL="" NEWEST_SHA256=""
newest_of_place() {
    local sums name version
    sums=$(mktemp "${TMPDIR:-/tmp}/mtproto-sums.XXXXXX")
    if ! download "${1%/}/latest/download/SHA256SUMS" "$sums" </dev/null; then
        rm -f "$sums"
        fail "there are no releases at $1, or no way to it; the lines above say why. Nothing was changed."
    fi
    read -r NEWEST_SHA256 name <"$sums" || true
    rm -f "$sums"
    name=${name#\*}
    version=${name#mtproto-}
    version=${version%.tar.gz}
    [[ $version =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] || fail "the SHA256SUMS of $1 names no release: '$name'."
    NEWEST_URL=${1%/}/download/$version/$name
    NEWEST_SHA256=${2:-$NEWEST_SHA256}
}

# Fetches the pinned release, verifies it, and goes on with the install.sh in it.
go_on_in_the_release() {
    local url=${MTPROTO_RELEASE_URL:-$RELEASE_URL} wanted=${MTPROTO_RELEASE_SHA256:-$RELEASE_SHA256} folder got tree
    [ -n "$url" ] || fail "this script stands alone, and names no release to fetch. Either run it from the folder of a
release or a checkout (bash FOLDER/install.sh), or set MTPROTO_RELEASE_URL and MTPROTO_RELEASE_SHA256."
    case $url in
        "" | *.tar.gz) ;;
        *)
            newest_of_place "$url" "$wanted"
            url=$NEWEST_URL wanted=$NEWEST_SHA256
            ;;
    esac
    [[ $wanted =~ ^[0-9a-f]{64}$ ]] || fail "the checksum of the release is missing or not one (MTPROTO_RELEASE_SHA256:
'$wanted'): 64 of the characters 0-9 and a-f are allowed. It stands in SHA256SUMS beside the release."
    folder=$(mktemp -d "${TMPDIR:-/tmp}/mtproto-release.XXXXXX") || fail "no temporary folder could be made; is the disk full?"
    # The tree's own install.sh removes it at its end.
    export MTPROTO_UNPACKED=$folder
    trap 'rm -rf "$MTPROTO_UNPACKED"' EXIT
    say "Fetching $url"
    download "$url" "$folder/release.tar.gz" </dev/null ||
        fail "the release could not be fetched; the lines above say why. Nothing was changed."
    got=$(sha256sum "$folder/release.tar.gz" | cut -d ' ' -f 1)
    [ "$got" = "$wanted" ] || fail "what was fetched is not the release: its SHA-256 is
$got, and not
$wanted. It was thrown away; nothing was changed."
    tar -xzf "$folder/release.tar.gz" -C "$folder" --no-same-owner ||
        fail "the release could not be unpacked; the lines above say why. Nothing was changed."
    rm "$folder/release.tar.gz"
    tree=$(find "$folder" -mindepth 1 -maxdepth 2 -name install.sh | head -n 1)
    [ -n "$tree" ] || fail "there is no install.sh in the release. Nothing was changed."
    exec bash "$tree" "$@"
}

main() {
    parse_options "$@"
    find_tree
    case $MODE in
        local)
            [ -n "$HERE" ] || fail "--local installs into the folder that install.sh stands in, and the rest of it is
not there. Unpack a release, or clone the repository, and run it from there."
            PORT=${PORT:-8080}
            DATA=${DATA:-$HERE/data}
            # The one that was named before, as its line is printed without it.
            VENV=${VENV:-$(cat "$HERE/.venv.path" 2>/dev/null || printf %s "$HERE/.venv")}
            # shellcheck source=host/lib/local.sh
            . "$HERE/host/lib/local.sh"
            run_local
            return
            ;;
        uninstall)
            # Removing needs no download: what is installed knows how.
            if [ -z "$HERE" ] && [ -e "${MTPROTO_HOME:-/opt/mtproto}/current/install.sh" ]; then
                exec bash "${MTPROTO_HOME:-/opt/mtproto}/current/install.sh" "$@"
            fi
            ;;
    esac
    require_root
    [ -n "$HERE" ] || go_on_in_the_release "$@"
    # shellcheck source=host/lib/server.sh
    . "$HERE/host/lib/server.sh"
    if [ "$MODE" = uninstall ]; then run_uninstall; else run_server; fi
}

# In braces, so that bash runs nothing before it has read this to the end.
{
    main "$@"
    exit
}
