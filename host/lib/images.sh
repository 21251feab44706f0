#!/usr/bin/env bash
# The images: loaded from a file, pulled from a registry, or built here. What came with us is noted, so that a removal
# takes it away again, and nothing else.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

# What the images are built on, by the name of the variable; each may be set to another one.
declare -A BASES=([PYTHON_IMAGE]=python:3.12-slim-bookworm [NODE_IMAGE]=node:20-bookworm-slim
    [MTG_IMAGE]=nineseconds/mtg:2.2.8 [BASE_IMAGE]=debian:bookworm-slim
    [NGINX_IMAGE]=nginx:1.30 [TRAEFIK_IMAGE]=traefik:v3.7 [CERTBOT_IMAGE]=certbot/certbot:v5.8.0)
# A registry that has both images under their version, such as docker.io/somebody.
REGISTRY=${MTPROTO_REGISTRY:-}
# Where Docker Hub's images are had from instead, such as mirror.example.
DOCKER_MIRROR=${MTPROTO_DOCKER_MIRROR:-}
PROXY_IMAGE=mtg-custom
PACKAGES_IMAGE=mtproto-packages:latest

has_image() { docker image inspect "$1" >/dev/null 2>&1 </dev/null; }

# note_image REFERENCE: it came with us.
note_image() { record "$MTPROTO_HOME/.images" "$1"; }

# choose_bases: sets each variable of BASES: the environment's, that of the last run, or Docker Hub's by its mirror.
choose_bases() {
    local name value
    REGISTRY=${REGISTRY:-$(env_get MTPROTO_REGISTRY)}
    for name in "${!BASES[@]}"; do
        value=${!name:-$(env_get "$name")}
        if [ -z "$value" ]; then
            value=${BASES[$name]}
            if [ -n "$DOCKER_MIRROR" ]; then
                case $value in
                    */*) value=$DOCKER_MIRROR/$value ;;
                    *) value=$DOCKER_MIRROR/library/$value ;;
                esac
            fi
        fi
        printf -v "$name" '%s' "$value"
    done
}

load_images() {
    local file=${MTPROTO_IMAGES:-} reference
    [ -n "$file" ] || return 0
    [ -r "$file" ] || fail "the archive of images $file can't be read."
    note "loading the images of $file"
    run docker load -i "$file" || fail_run "the archive of images $file could not be loaded."
    last_words 100 | sed -n 's/^Loaded image: //p' | while read -r reference; do note_image "$reference"; done
}

# pull REFERENCE: if it is not there. 1 if it can't be had.
pull() {
    has_image "$1" && return
    note "pulling $1"
    run docker pull "$1" || return 1
    note_image "$1"
}

must_pull() {
    pull "$1" || fail_run "the image $1 could not be pulled. Where Docker Hub can't be reached: a mirror is named by
MTPROTO_DOCKER_MIRROR, and images that were saved elsewhere (docker save) are brought by --images FILE."
}

# An image that is small and needed anyway, for the proof that containers run.
image_for_proof() {
    local image
    for image in "$BASE_IMAGE" "$PYTHON_IMAGE" "$PANEL_IMAGE" "$NGINX_IMAGE" "$PROXY_IMAGE"; do
        if has_image "$image"; then
            printf '%s' "$image"
            return
        fi
    done
    printf '%s' "$BASE_IMAGE"
}

# from_registry NAME LOCAL: NAME:VERSION of the registry under the name LOCAL. 1 if there is none.
from_registry() {
    local there=$REGISTRY/$1:$VERSION
    [ -n "$REGISTRY" ] || return 1
    note "pulling $there"
    if ! run docker pull "$there"; then
        warn "$there could not be pulled, so it is built here"
        return 1
    fi
    note_image "$there"
    run docker tag "$there" "$2" || fail_run "the image $there could not be given the name $2."
    note_image "$2"
}

# label_of IMAGE LABEL: nothing, if it has none (one that was made elsewhere, and brought).
label_of() { docker image inspect --format "{{index .Config.Labels \"$2\"}}" "$1" 2>/dev/null </dev/null || true; }

provide_images() {
    load_images
    prove_docker_with_an_image
    provide_proxy_image
    provide_panel_image
    must_pull "$NGINX_IMAGE"
    provide_certbot
}

# certbot asks for certificates; without a domain the panel does without it, if it must. Sets CERTBOT: yes or no.
CERTBOT=no
provide_certbot() {
    if [ "$HTTPS" != yes ]; then return; fi
    CERTBOT=yes
    if [ -n "$DOMAIN" ]; then
        must_pull "$CERTBOT_IMAGE"
    elif ! pull "$CERTBOT_IMAGE"; then
        CERTBOT=no
        warn "the image $CERTBOT_IMAGE could not be pulled, so nobody asks for a certificate for this server's address: the
      panel makes one itself, which browsers warn of. To try again: $AGAIN"
    fi
}

prove_docker_with_an_image() {
    local image
    image=$(image_for_proof)
    must_pull "$image"
    prove_docker "$image"
}

provide_panel_image() {
    local source target=()
    source=$(source_hash "$TREE" Dockerfile requirements.txt wsgi.py app nginx/templates)
    if has_image "$PANEL_IMAGE" && [ "$(label_of "$PANEL_IMAGE" mtproto.source)" = "$source" ]; then
        note "$PANEL_IMAGE is there"
        return
    fi
    # Brought by --images: made elsewhere, and as good as what would be built.
    if [ -n "${MTPROTO_IMAGES:-}" ] && has_image "$PANEL_IMAGE"; then
        note "$PANEL_IMAGE was brought"
        return
    fi
    from_registry mtproto-panel "$PANEL_IMAGE" && return
    must_pull "$PYTHON_IMAGE"
    if [ -e "$TREE/app/web/static/build/panel.css" ]; then
        # Nothing is left to do for Node, so its image is not fetched.
        target=(--target ready)
    else
        must_pull "$NODE_IMAGE"
    fi
    note "building $PANEL_IMAGE"
    build_image "$PANEL_IMAGE" "$TREE/Dockerfile" "mtproto.source=$source" \
        "${target[@]+"${target[@]}"}" "PYTHON_IMAGE=$PYTHON_IMAGE" "NODE_IMAGE=$NODE_IMAGE" "VERSION=$VERSION" \
        "PIP_INDEX_URL=${PIP_INDEX_URL:-$(env_get PIP_INDEX_URL)}" "NPM_REGISTRY=${NPM_REGISTRY:-$(env_get NPM_REGISTRY)}"
}

provide_proxy_image() {
    local source
    source=$(source_hash "$TREE" Dockerfile.mtg)
    if has_image "$PROXY_IMAGE" && { [ "$(label_of "$PROXY_IMAGE" mtproto.source)" = "$source" ] ||
        # Somebody's own, under this name: theirs counts.
        [ -z "$(label_of "$PROXY_IMAGE" mtproto.source)" ]; }; then
        note "$PROXY_IMAGE is there"
        return
    fi
    from_registry mtg-custom "$PROXY_IMAGE" && return
    must_pull "$MTG_IMAGE"
    must_pull "$BASE_IMAGE"
    note "building $PROXY_IMAGE"
    build_image "$PROXY_IMAGE" "$TREE/Dockerfile.mtg" "mtproto.source=$source" \
        "MTG_IMAGE=$MTG_IMAGE" "BASE_IMAGE=$BASE_IMAGE" "VERSION=$VERSION"
}

# source_hash TREE PATH…: what an image is made from, names and contents.
source_hash() {
    (cd "$1" && shift && find "$@" -type f -not -path '*/__pycache__/*' -not -path '*/node_modules/*' -print0 |
        LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1)
}

# build_image NAME DOCKERFILE LABEL [--target STAGE] ARGUMENT…
build_image() {
    local name=$1 dockerfile=$2 label=$3 options=() argument
    shift 3
    if [ "$1" = --target ]; then
        options=(--target "$2")
        shift 2
    fi
    for argument in "$@"; do
        if [ -n "${argument#*=}" ]; then options+=(--build-arg "$argument"); fi
    done
    run docker build --force-rm -f "$dockerfile" -t "$name" --label "$label" "${options[@]}" "$TREE" ||
        fail_run "the image $name could not be built. Where the package registries can't be reached: PIP_INDEX_URL and
NPM_REGISTRY name others, https_proxy names a proxy, and --images FILE brings an image that was built elsewhere."
    note_image "$name"
    tidy_stages
}

# stages_left [STAGE]: what Docker's older builder leaves behind of the stages before the last one, newest first.
stages_left() {
    docker images -q --filter dangling=true --filter "label=mtproto.stage${1:+=$1}" 2>/dev/null </dev/null || true
}

# The Python packages are kept, by a name, for the next release that has the same ones. The other stages are, on a small
# disk, too much.
tidy_stages() {
    local stage
    stage=$(stages_left packages | head -n 1)
    if [ -n "$stage" ] && run docker tag "$stage" "$PACKAGES_IMAGE"; then note_image "$PACKAGES_IMAGE"; fi
    for stage in $(stages_left); do
        docker rmi "$stage" >>"$LOG" 2>&1 </dev/null || true
    done
}
