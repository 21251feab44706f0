#!/usr/bin/env bash
# Builds the images, the panel, mtg-custom, telemt and mtproxy, and pushes them to Docker Hub.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PLATFORMS=linux/amd64,linux/arm64

MULTIARCH=no
ONLY=
DRY_RUN=no
TOKEN=${DOCKERHUB_TOKEN:-}
# Only `docker login` gets it, through a pipe: no other program sees it in its environment.
unset DOCKERHUB_TOKEN
TAGS=()

usage() {
    cat <<'END'
Usage: DOCKERHUB_USERNAME=you DOCKERHUB_TOKEN=… bash scripts/docker-build-push.sh [options]

Builds mtproto-panel, mtg-custom, telemt and mtproxy and pushes them to Docker Hub under your name.

  --multiarch     for amd64 and arm64 in one image (needs docker buildx)
  --panel-only    only the panel
  --mtg-only      only mtg-custom
  --telemt-only   only telemt
  --mtproxy-only  only mtproxy
  --dry-run       print the commands, run none of them
  --help          this text

  DOCKERHUB_USERNAME   whose images these become
  DOCKERHUB_TOKEN      an access token; without it, an earlier `docker login` is used
  VERSION              the tag; `git describe` if not given. A release (v1.2.3) is tagged latest too
  PYTHON_IMAGE, NODE_IMAGE, PIP_INDEX_URL, NPM_REGISTRY, MTG_IMAGE, BASE_IMAGE, TELEMT, BUILD_IMAGE, MTPROXY_SOURCE, MTPROXY_SHA256
                       other sources to build from, as in Dockerfile and Dockerfile.mtg, .telemt and .mtproxy
END
}

say() { printf '==> %s\n' "$*"; }

fail() {
    printf '\ndocker-build-push.sh: %s\n' "$1" >&2
    exit 1
}

misuse() {
    printf 'docker-build-push.sh: %s\n\n' "$1" >&2
    usage >&2
    exit 2
}

parse_options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --multiarch) MULTIARCH=yes ;;
            --panel-only | --mtg-only | --telemt-only | --mtproxy-only)
                [ -z "$ONLY" ] || [ "$ONLY" = "$1" ] || misuse "$ONLY and $1 leave nothing to build."
                ONLY=$1
                ;;
            --dry-run) DRY_RUN=yes ;;
            -h | --help)
                usage
                exit 0
                ;;
            *) misuse "unknown option: $1" ;;
        esac
        shift
    done
    [ -n "${DOCKERHUB_USERNAME:-}" ] || misuse "DOCKERHUB_USERNAME is not set: whose images are these to be?"
}

# Prints a command and runs it; with --dry-run, only prints it.
run() {
    printf '+'
    printf ' %q' "$@"
    printf '\n'
    [ "$DRY_RUN" = yes ] || "$@"
}

check_tools() {
    if [ "$DRY_RUN" = yes ]; then return; fi
    command -v docker >/dev/null || fail "docker is not installed here."
    if [ "$MULTIARCH" = yes ]; then
        docker buildx version >/dev/null 2>&1 ||
            fail "--multiarch needs docker buildx; its package, docker-buildx-plugin, is not installed here."
    fi
}

choose_tags() {
    VERSION=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || true)}
    [ -n "$VERSION" ] || fail "this is no git repository, so the version is not known: set VERSION."
    [[ $VERSION =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] ||
        fail "VERSION is '$VERSION': an image tag holds letters, digits, '.', '_' and '-', 128 at most."
    TAGS=("$VERSION")
    # Nothing but a release becomes what everybody gets who names no version.
    if [[ $VERSION =~ ^v?[0-9]+\.[0-9]+\.[0-9]+$ ]]; then TAGS+=(latest); fi
}

log_in() {
    if [ -z "$TOKEN" ]; then
        say "DOCKERHUB_TOKEN is not set: an earlier docker login is used"
        return
    fi
    say "Logging in to Docker Hub as $DOCKERHUB_USERNAME"
    if [ "$DRY_RUN" = yes ]; then
        run docker login --username "$DOCKERHUB_USERNAME" --password-stdin
        return
    fi
    # printf is the shell's own: the token is in no command line.
    printf '%s' "$TOKEN" | run docker login --username "$DOCKERHUB_USERNAME" --password-stdin ||
        fail "Docker Hub did not accept the name and the token; the lines above say why."
    # docker keeps what it logged in with in a file; this login was for this run only.
    trap 'docker logout >/dev/null 2>&1 || true' EXIT
}

# build_and_push NAME DOCKERFILE ARG…: ARGs are passed on if the environment sets them.
build_and_push() {
    local image=$DOCKERHUB_USERNAME/$1 options=(--file "$2" --build-arg "VERSION=$VERSION") tag name
    shift 2
    for name in "$@"; do
        if [ -n "${!name:-}" ]; then options+=(--build-arg "$name=${!name}"); fi
    done
    for tag in "${TAGS[@]}"; do options+=(--tag "$image:$tag"); done
    say "Building $image:$VERSION"
    if [ "$MULTIARCH" = yes ]; then
        run docker buildx build --platform "$PLATFORMS" "${options[@]}" --push . ||
            fail "$image:$VERSION could not be built and pushed; the lines above say why."
        return
    fi
    run docker build "${options[@]}" . || fail "$image:$VERSION could not be built; the lines above say why."
    for tag in "${TAGS[@]}"; do
        run docker push "$image:$tag" || fail "$image:$tag could not be pushed; the lines above say why."
    done
}

# wanted OPTION: whether the image is built that this option would leave alone.
wanted() { [ -z "$ONLY" ] || [ "$ONLY" = "$1" ]; }

main() {
    parse_options "$@"
    cd "$HERE"
    check_tools
    choose_tags
    log_in
    if wanted --panel-only; then
        build_and_push mtproto-panel Dockerfile PYTHON_IMAGE NODE_IMAGE PIP_INDEX_URL NPM_REGISTRY
    fi
    if wanted --mtg-only; then
        build_and_push mtg-custom Dockerfile.mtg MTG_IMAGE BASE_IMAGE
    fi
    if wanted --telemt-only; then
        build_and_push telemt Dockerfile.telemt TELEMT BUILD_IMAGE BASE_IMAGE
    fi
    if wanted --mtproxy-only; then
        # Another source has another checksum.
        if [ -n "${MTPROXY_SOURCE:-}" ]; then MTPROXY_SHA256=${MTPROXY_SHA256:-any}; fi
        build_and_push mtproxy Dockerfile.mtproxy MTPROXY_SOURCE MTPROXY_SHA256 BASE_IMAGE
    fi
    say "Done"
}

main "$@"
