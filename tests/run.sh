#!/usr/bin/env bash
# Installs what the tests need on a bare Debian or Ubuntu machine, checks the code, and runs every test.
# Arguments go to pytest: bash tests/run.sh tests/cli -k probe
# With CI=true, a test that is skipped has failed.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$HERE/tests/.venv

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
    command -v ndpiReader >/dev/null || printf 'libndpi-bin\n'
    command -v tcpdump >/dev/null || [ -x /usr/sbin/tcpdump ] || printf 'tcpdump\n'
    command -v shellcheck >/dev/null || printf 'shellcheck\n'
    command -v setpriv >/dev/null || printf 'util-linux\n'
    command -v git >/dev/null || printf 'git\n'
    command -v strace >/dev/null || printf 'strace\n'
    # tests/docker starts an engine of its own where none answers, and makes its images itself.
    command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || printf 'docker.io\n'
    command -v docker-compose >/dev/null || printf 'docker-compose\n'
    command -v debootstrap >/dev/null || [ -x /usr/sbin/debootstrap ] || printf 'debootstrap\n'
}

install_system_packages() {
    local packages=() as_root=() had_nginx=no
    mapfile -t packages < <(missing_packages)
    if [ ${#packages[@]} -eq 0 ]; then return; fi
    say "Installing Debian packages: ${packages[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "as root, install: apt-get install -y ${packages[*]}"
        as_root=(sudo)
    fi
    [ ! -x /usr/sbin/nginx ] || had_nginx=yes
    "${as_root[@]}" apt-get update -qq || fail "the package lists can't be read: apt-get update failed"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null ||
        fail "could not be installed: ${packages[*]}"
    # The package starts a server on port 80; the tests start their own, on ports of their own.
    if [ "$had_nginx" = no ] && [ -x /usr/sbin/nginx ]; then
        "${as_root[@]}" service nginx stop >/dev/null 2>&1 || true
    fi
    mapfile -t packages < <(missing_packages)
    [ ${#packages[@]} -eq 0 ] || fail "still missing after the installation: ${packages[*]}"
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

check_shell_scripts() {
    local scripts=()
    say "shellcheck"
    mapfile -d '' scripts < <(find . \( -name .git -o -name '.venv*' -o -name node_modules \) -prune -o \
        -type f \( -name '*.sh' -o -path ./.ci/run \) -print0)
    shellcheck -x "${scripts[@]}" || fail "shellcheck found something"
}

check_python() {
    say "ruff"
    "$VENV/bin/ruff" check --quiet --config tests/ruff.toml --cache-dir tests/.ruff_cache app wsgi.py tests || fail "ruff found something"
    say "mypy"
    "$VENV/bin/mypy" --config-file tests/mypy.ini app wsgi.py || fail "mypy found something"
}

# The tests that run beside the others: their process, and what it prints.
docker_run='' log=''

end_docker_run() {
    if [ -n "$docker_run" ]; then
        kill "$docker_run" || true
        wait "$docker_run" || true
    fi
    rm -f "$log"
}

run_pytest() {
    local options=(-c tests/pytest.ini) docker=(tests/docker tests/edge tests/runtimes) failed=0
    if [ "${CI:-}" = true ]; then
        options+=(-p tests.support.no_skips)
    fi
    if [ $# -gt 0 ]; then
        say "pytest"
        exec "$VENV/bin/python" -m pytest "${options[@]}" "$@"
    fi
    # Two at a time: what uses the Docker engine waits most of the time. It is the one that starts the
    # engine, where none runs, so all of it is in one of the two.
    log=$(mktemp)
    "$VENV/bin/python" -m pytest "${options[@]}" "${docker[@]}" >"$log" 2>&1 &
    docker_run=$!
    trap end_docker_run EXIT
    say "pytest, everything without Docker"
    "$VENV/bin/python" -m pytest "${options[@]}" "${docker[@]/#/--ignore=}" tests || failed=1
    say "pytest, everything with Docker"
    wait "$docker_run" || failed=1
    docker_run=''
    cat "$log"
    [ "$failed" -eq 0 ] || fail "a test has failed; the lines above say which"
}

main() {
    cd "$HERE"
    install_system_packages
    bash install.sh --local --no-start --venv "$VENV"
    install_test_packages
    check_shell_scripts
    [ $# -gt 0 ] || check_python
    run_pytest "$@"
}

main "$@"
