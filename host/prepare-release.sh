#!/usr/bin/env bash
# Makes ready what this release runs on, while another one serves: its images, and its lines of .env. update.sh of the
# release that serves calls it, so a release brings the knowledge of its own images along.
#   prepare-release.sh HOME TREE-THAT-SERVES FILE    lines KEY=value for .env go into FILE
# It may be run again at any time, and changes nothing that serves.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
export MTPROTO_HOME=$1
SERVING=$2
FILE=$3
VERSION=$(head -n 1 "$HERE/VERSION")
TREE=$HERE

for part in log files stack frontend images; do
    # shellcheck source=/dev/null
    . "$HERE/host/lib/$part.sh"
done
LOG=${MTPROTO_LOG:-/dev/null}

fail() {
    {
        printf '\nupdate.sh: %s\n' "$1"
        if [ $# -gt 1 ]; then printf '\nThis mends it:\n\n    %s\n' "$2"; fi
    } | tee -a "$LOG" >&2
    exit 1
}

# default_of TREE NAME: what that release uses where nobody has chosen another image.
default_of() {
    # shellcheck disable=SC2016
    bash -c '. "$1" 2>/dev/null && printf "%s" "${BASES[$2]:-}"' - "$1/host/lib/images.sh" "$2" || true
}

# Images that .env names only because they were the default are those of this release now; chosen ones stay.
move_on_from_old_defaults() {
    local name now before
    for name in "${!BASES[@]}"; do
        if [ -n "${!name:-}" ]; then continue; fi
        now=$(env_get "$name") before=$(default_of "$SERVING" "$name")
        [ -n "$before" ] || continue
        case $now in
            "$before") printf -v "$name" '%s' "${BASES[$name]}" ;;
            # By a mirror, which stays.
            */"$before") printf -v "$name" '%s' "${now%"$before"}${BASES[$name]}" ;;
        esac
    done
}

# The proxies' image is known by what it is made from: the one that is there is this release's, too, if that is the same.
prepare_proxy_image() {
    local source there=$PROXY_IMAGE
    source=$(source_hash "$TREE" Dockerfile.mtg)
    PROXY_IMAGE=$there:$VERSION
    if has_image "$there" && [ -z "$(label_of "$there" mtproto.source)" ]; then
        note "the image $there is one of your own, and stays"
    elif [ "$(label_of "$there" mtproto.source)" = "$source" ]; then
        note "the proxies' image stays the same"
        run docker tag "$there" "$PROXY_IMAGE" || fail_run "the image $there could not be given the name $PROXY_IMAGE."
        note_image "$PROXY_IMAGE"
    else
        provide_proxy_image
    fi
}

write_lines() {
    local name
    {
        printf 'VERSION=%s\nPANEL_IMAGE=%s\n' "$VERSION" "$PANEL_IMAGE"
        for name in "${!BASES[@]}"; do printf '%s=%s\n' "$name" "${!name}"; done
        # Installed by install.sh, and so what the panel's hints may name.
        if grep -q '/mtproto$' "$MTPROTO_HOME/.files" 2>/dev/null; then printf 'MTPROTO_COMMAND=mtproto\n'; fi
    } | write_file "$FILE" 0600
}

main() {
    # Under the name of its version; those of a registry are given it, too.
    PANEL_IMAGE=mtproto-panel:$VERSION
    REGISTRY=${REGISTRY:-$(env_get MTPROTO_REGISTRY)}
    DOCKER_MIRROR=${DOCKER_MIRROR:-$(env_get MTPROTO_DOCKER_MIRROR)}
    move_on_from_old_defaults
    choose_bases
    load_images
    prepare_proxy_image
    provide_panel_image
    must_pull "$NGINX_IMAGE"
    if [ "$(env_get MTPROTO_ROUTER)" = traefik ]; then must_pull "$TRAEFIK_IMAGE"; fi
    case ",$(env_get COMPOSE_PROFILES)," in *,ssl,*) must_pull "$CERTBOT_IMAGE" ;; esac
    write_lines
}

main
