#!/usr/bin/env bash
# Installs what the tests need on a bare Debian or Ubuntu machine, checks the code, and runs every test.
# Arguments go to pytest: bash tests/run.sh tests/cli -k probe
# With CI=true, a test that is skipped has failed, and servers are installed, too (tests/server).
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$HERE/tests/.venv
# Whether tests/server runs: in CI, and when asked for. Of it, the smallest server, also as a virtual machine, which is
# slow: only when asked for.
SERVER=no
MACHINE=no
SMALLEST=tests/server/test_smallest.py
ON_MACHINE=tests/server/test_machine.py
# So that the whole of CI stays under an hour (minutes).
SERVER_MINUTES=45
# What does not run, and why: said before, and in the last lines.
LEFT_OUT=()

say() { printf '\n==> %s\n' "$*"; }

fail() {
    printf '\ntests/run.sh: %s\n' "$1" >&2
    exit 1
}

# Prints the Debian packages that are missing here, one a line.
missing_packages() {
    [ -x /usr/bin/python3 ] || printf 'python3\n'
    # The system's own Python is what an account without rights installs with (tests/install).
    /usr/bin/python3 -c 'import venv, ensurepip' 2>/dev/null || printf 'python3-venv\n'
    command -v chromium >/dev/null || printf 'chromium\n'
    [ -x /usr/sbin/nginx ] || printf 'nginx-light\n'
    compgen -G '/usr/lib/nginx/modules/ngx_stream_module.so' >/dev/null || printf 'libnginx-mod-stream\n'
    command -v openssl >/dev/null || printf 'openssl\n'
    # Let's Encrypt's own test authority, and the DNS that goes with it.
    command -v pebble >/dev/null || printf 'pebble\n'
    # What a censor's equipment takes a session for: a capture of it, read by nDPI.
    # Bans, by Debian's own fail2ban, in networks of their own.
    command -v fail2ban-server >/dev/null || printf 'fail2ban\n'
    command -v nft >/dev/null || [ -x /usr/sbin/nft ] || printf 'nftables\n'
    command -v ip >/dev/null || [ -x /usr/sbin/ip ] || printf 'iproute2\n'
    command -v ndpiReader >/dev/null || printf 'libndpi-bin\n'
    command -v tshark >/dev/null || printf 'tshark\n'
    command -v tcpdump >/dev/null || [ -x /usr/sbin/tcpdump ] || printf 'tcpdump\n'
    command -v shellcheck >/dev/null || printf 'shellcheck\n'
    command -v setpriv >/dev/null || printf 'util-linux\n'
    command -v git >/dev/null || printf 'git\n'
    command -v strace >/dev/null || printf 'strace\n'
    # tests/install moves an installation over a real SSH, by a server of its own.
    command -v ssh >/dev/null || printf 'openssh-client\n'
    [ -x /usr/sbin/sshd ] || printf 'openssh-server\n'
    # tests/docker starts an engine of its own where none answers, and makes its images itself.
    command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || printf 'docker.io\n'
    command -v docker-compose >/dev/null || printf 'docker-compose\n'
    # tests/install puts firewalls into namespaces of their own.
    command -v ufw >/dev/null || [ -x /usr/sbin/ufw ] || printf 'ufw\n'
    command -v firewalld >/dev/null || [ -x /usr/sbin/firewalld ] || printf 'firewalld\ndbus\n'
    command -v nft >/dev/null || [ -x /usr/sbin/nft ] || printf 'nftables\n'
    command -v iptables >/dev/null || [ -x /usr/sbin/iptables ] || printf 'iptables\n'
    command -v ip >/dev/null || [ -x /usr/sbin/ip ] || printf 'iproute2\n'
    command -v logrotate >/dev/null || [ -x /usr/sbin/logrotate ] || printf 'logrotate\n'
    command -v debootstrap >/dev/null || [ -x /usr/sbin/debootstrap ] || printf 'debootstrap\n'
    if [ "$SERVER" = yes ]; then
        command -v systemd-nspawn >/dev/null || printf 'systemd-container\n'
    fi
    if [ "$MACHINE" = yes ]; then
        command -v qemu-system-x86_64 >/dev/null || printf 'qemu-system-x86\n'
        command -v qemu-img >/dev/null || printf 'qemu-utils\n'
        command -v mke2fs >/dev/null || [ -x /usr/sbin/mke2fs ] || printf 'e2fsprogs\n'
    fi
}

install_system_packages() {
    local packages=() as_root=() had_nginx=no had_sshd=no
    mapfile -t packages < <(missing_packages)
    if [ ${#packages[@]} -eq 0 ]; then return; fi
    say "Installing Debian packages: ${packages[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "as root, install: apt-get install -y ${packages[*]}"
        as_root=(sudo)
    fi
    [ ! -x /usr/sbin/nginx ] || had_nginx=yes
    [ ! -x /usr/sbin/sshd ] || had_sshd=yes
    # The package starts it, and it would close this machine.
    if [[ " ${packages[*]} " == *" firewalld "* ]] && [ -d /run/systemd/system ]; then
        "${as_root[@]}" systemctl mask --quiet firewalld.service || fail "firewalld can't be kept from starting here"
    fi
    "${as_root[@]}" apt-get update -qq || fail "the package lists can't be read: apt-get update failed"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null ||
        fail "could not be installed: ${packages[*]}"
    # The package starts a server on port 80; the tests start their own, on ports of their own.
    if [ "$had_nginx" = no ] && [ -x /usr/sbin/nginx ]; then
        "${as_root[@]}" service nginx stop >/dev/null 2>&1 || true
    fi
    # The same, on port 22.
    if [ "$had_sshd" = no ] && [ -x /usr/sbin/sshd ]; then
        "${as_root[@]}" service ssh stop >/dev/null 2>&1 || true
    fi
    mapfile -t packages < <(missing_packages)
    [ ${#packages[@]} -eq 0 ] || fail "still missing after the installation: ${packages[*]}"
}

# Prints why no server can be started here; nothing if one can: by systemd-nspawn, on an overlay, with a cable.
no_servers_because() {
    local said folder end=0
    if [ "$(id -u)" -ne 0 ]; then
        printf 'systemd-nspawn needs root'
        return
    fi
    said=$(systemd-nspawn --quiet --directory=/ --volatile=yes --register=no --keep-unit --network-veth \
        --machine="mtprobe$$" --capability=all --pipe /usr/bin/true 2>&1 </dev/null) || end=$?
    if [ "$end" -ne 0 ]; then
        printf 'systemd-nspawn starts nothing: %s' "${said:-it said nothing}"
        return
    fi
    folder=$(mktemp -d)
    mkdir "$folder/upper" "$folder/work" "$folder/root"
    said=$(mount -t overlay overlay -o "lowerdir=/usr,upperdir=$folder/upper,workdir=$folder/work" "$folder/root" 2>&1) ||
        printf 'an overlay can not be mounted: %s' "$said"
    umount "$folder/root" 2>/dev/null || true
    rm -rf "$folder"
}

# choose_servers: whether tests/server runs. Who asks for it is refused where it can't; in CI the rest runs, and says so.
choose_servers() {
    local asked=$SERVER because
    if [ $# -eq 0 ] && [ "${CI:-}" = true ]; then SERVER=yes; fi
    if [ "$SERVER" = no ]; then
        LEFT_OUT+=("tests/server, servers that are installed; this runs it: bash tests/run.sh tests/server")
        return
    fi
    install_system_packages
    because=$(no_servers_because)
    if [ -n "$because" ]; then
        [ "$asked" = no ] || fail "tests/server can't run here: $because"
        SERVER=no
        LEFT_OUT+=("TESTS/SERVER, THOUGH THIS IS CI: no server can be started on this machine: $because")
    elif [ "$MACHINE" = no ]; then
        LEFT_OUT+=("the smallest server; this runs it: bash tests/run.sh $SMALLEST $ON_MACHINE")
    fi
}

tell_what_is_left_out() {
    local each
    for each in "${LEFT_OUT[@]+"${LEFT_OUT[@]}"}"; do say "LEFT OUT: $each"; done
}

install_test_packages() {
    local wanted
    wanted=$(cat requirements.txt tests/requirements.txt | sha256sum)
    if [ "$(cat "$VENV/tests.stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    say "Installing the packages that the tests use"
    "$VENV/bin/python" -m pip install --quiet --no-input -r tests/requirements.txt ||
        fail "the packages of tests/requirements.txt could not be installed; the lines above say which"
    printf '%s\n' "$wanted" >"$VENV/tests.stamp"
}

# mtcute, a Telegram client for Node.js, which the front end's build has found or put beside Python.
install_mtcute() {
    local folder=tests/support/mtcute wanted
    wanted=$(sha256sum <$folder/package-lock.json)
    if [ "$(cat "$folder/node_modules/.stamp" 2>/dev/null)" = "$wanted" ]; then return; fi
    say "Installing mtcute"
    (cd "$folder" && PATH="$PATH:$VENV/bin" npm ci --loglevel=error) ||
        fail "the packages of $folder/package-lock.json could not be installed; the lines above say which"
    printf '%s\n' "$wanted" >"$folder/node_modules/.stamp"
}

check_shell_scripts() {
    local scripts=()
    say "shellcheck"
    mapfile -d '' scripts < <(find . \( -name .git -o -name '.venv*' -o -name node_modules \) -prune -o \
        -type f \( -name '*.sh' -o -path ./.ci/run -o -path './host/mtprox*' -o -path './host/fail2ban/mtproto-bans' -o -path './host/mtproto' -o \( -path './host/images/*' ! -name '*.h' \) -o -path './tests/install/stubs/*' \) -print0)
    shellcheck -x "${scripts[@]}" || fail "shellcheck found something"
}

check_python() {
    say "ruff"
    "$VENV/bin/ruff" check --quiet --config tests/ruff.toml --cache-dir tests/.ruff_cache app wsgi.py tests || fail "ruff found something"
    say "mypy"
    "$VENV/bin/mypy" --config-file tests/mypy.ini app wsgi.py || fail "mypy found something"
}

# Groups of tests that run beside each other: what pytest is given, a group a line, those that take longest
# first, and what uses the Docker engine not all at once.
STACK='tests/docker/test_compose.py tests/docker/test_images.py'
INSTALLER='tests/install/test_server.py tests/install/test_server_killed.py tests/install/test_server_refusals.py'
UPDATE='tests/install/test_update.py tests/install/test_move.py'
KILLED='tests/install/test_update_killed.py'
FIREWALLS='tests/install/test_firewalls.py'
SERVED='tests/install/test_server_https.py tests/install/test_doctor.py tests/install/test_take_over.py tests/install/test_fail2ban.py tests/install/test_docker_starts.py'
AXE='tests/web/test_axe.py'
BROWSER='tests/web/test_browser.py tests/web/test_browser_list.py tests/web/test_browser_proxies.py tests/web/test_browser_settings.py tests/web/test_browser_setup.py'
WALKS='tests/web/test_back.py tests/web/test_methods.py tests/web/test_passkeys.py tests/web/test_share.py tests/web/test_share_sheet.py'
FUZZ='tests/web/test_fuzz_routes.py tests/web/test_fuzz.py tests/web/test_xss.py'
PAGES="$AXE $BROWSER $WALKS $FUZZ"
INSTALLS="$INSTALLER $SERVED $UPDATE $KILLED $FIREWALLS"
FIRST="tests/docker --ignore=tests/docker/port443 ${STACK//tests/--ignore=tests}
$INSTALLER
tests/web ${PAGES//tests/--ignore=tests}
$AXE
$BROWSER
$SERVED
tests/install ${INSTALLS//tests/--ignore=tests}
$STACK
$UPDATE
$WALKS
$FUZZ
$FIREWALLS
$KILLED
tests/docker/port443
tests/cli
tests/edge
tests/fleet
tests/runtimes
tests/mtproto"

# Prints every group: the first ones, and each folder that is in none of them.
groups() {
    local folder
    if [ "$SERVER" = yes ]; then printf 'tests/server --ignore=%s --ignore=%s\n' "$SMALLEST" "$ON_MACHINE"; fi
    if [ "$MACHINE" = yes ]; then printf '%s\n' "$SMALLEST $ON_MACHINE"; fi
    printf '%s\n' "$FIRST"
    for folder in tests/*/; do
        folder=${folder%/}
        if [ "$folder" != tests/server ] && compgen -G "$folder/test_*.py" >/dev/null && ! grep -qw -- "$folder" <<<"$FIRST"; then
            printf '%s\n' "$folder"
        fi
    done
}

# The groups that are under way, by process; the process that has the Docker engine and makes the images; and
# the folder of what they all print.
declare -A under_way=()
images=''
logs=''

# Where no Docker engine runs, one is started, which is there for all groups and ends with them. The images take
# minutes on a bare machine: they are made while the code is checked. Where there can be no engine, the tests say why.
start_docker() {
    local log=$logs/images
    "$VENV/bin/python" -m tests.docker.images --hold </dev/null >"$log" 2>&1 &
    images=$!
    until grep -q 'engine answers' "$log" || ! kill -0 "$images" 2>/dev/null; do sleep 0.2; done
}

# Interrupted, a group still tidies up behind the test it is at.
end_all() {
    if [ ${#under_way[@]} -gt 0 ]; then
        kill -INT "${!under_way[@]}" || true
        for _ in {1..60}; do
            kill -0 "${!under_way[@]}" 2>/dev/null || break
            sleep 1
        done
        kill "${!under_way[@]}" 2>/dev/null || true
        wait "${!under_way[@]}" || true
    fi
    if [ -n "$images" ]; then
        kill "$images" 2>/dev/null || true
        wait "$images" || true
    fi
    rm -rf "$logs"
}

# log_of GROUP: its file. Not by its name: that may be longer than a file's.
log_of() { printf '%s/%s' "$logs" "$(cksum <<<"$1" | cut -d ' ' -f 1)"; }

# start_group GROUP: its tests, in the background.
start_group() {
    local words=() bound=()
    read -ra words <<<"$1"
    if [[ $1 == tests/server* ]]; then bound=(timeout --signal=INT --kill-after=60 "${SERVER_MINUTES}m"); fi
    "${bound[@]+"${bound[@]}"}" "$VENV/bin/python" -m pytest "${options[@]}" "${words[@]}" </dev/null >"$(log_of "$1")" 2>&1 &
    under_way[$!]=$1
}

# Waits until a group has ended, and prints what those have printed that have. (`wait -n` forgets a process that
# ends while another one is looked at.)
finish_groups() {
    local process group before=${#under_way[@]}
    while [ ${#under_way[@]} -eq "$before" ]; do
        sleep 0.5
        for process in "${!under_way[@]}"; do
            if kill -0 "$process" 2>/dev/null; then continue; fi
            group=${under_way[$process]}
            unset "under_way[$process]"
            if ! wait "$process"; then
                failed+=("$group")
                grep -E '^(FAILED|ERROR|E   )' "$(log_of "$group")" | tail -n 60 >>"$logs/failures" || true
            fi
            say "pytest $group"
            cat "$(log_of "$group")"
        done
    done
}

run_pytest() {
    local options=(-c tests/pytest.ini) failed=() group most
    if [ "${CI:-}" = true ]; then
        options+=(-p tests.support.no_skips)
    fi
    if [ $# -gt 0 ]; then
        say "pytest"
        exec "$VENV/bin/python" -m pytest "${options[@]}" "$@"
    fi
    # One more than there are cores: the tests wait as well.
    most=$(($(nproc) + 1))
    tell_what_is_left_out
    say "pytest, in groups: each is printed when it has ended"
    while read -r group; do
        [ ${#under_way[@]} -lt "$most" ] || finish_groups
        start_group "$group"
    done < <(groups)
    while [ ${#under_way[@]} -gt 0 ]; do finish_groups; done
    tell_what_is_left_out
    if [ -s "$logs/failures" ]; then
        say "What failed, once more"
        cat "$logs/failures"
    fi
    [ ${#failed[@]} -eq 0 ] || fail "a test has failed in ${failed[*]}; the lines above say which"
}

main() {
    cd "$HERE"
    # Where Python may keep nothing that it has compiled, each of the thousand processes compiles the panel again.
    unset PYTHONDONTWRITEBYTECODE
    case $* in *tests/server*) SERVER=yes MACHINE=yes ;; esac
    choose_servers "$@"
    install_system_packages
    bash install.sh --local --no-start --venv "$VENV"
    install_test_packages
    install_mtcute
    if [ $# -eq 0 ]; then
        logs=$(mktemp -d)
        trap end_all EXIT
        start_docker
        check_python
    fi
    check_shell_scripts
    run_pytest "$@"
}

main "$@"
