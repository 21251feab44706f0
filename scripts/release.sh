#!/usr/bin/env bash
# Makes a release of what is committed: an archive with the stylesheet in it, and its checksum. The same commit gives
# the same bytes.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

OUT=$HERE/dist
VENV=$HERE/.venv
URL=${MTPROTO_RELEASE_URL:-}
VERSION=${VERSION:-}
# What only its developers need.
LEFT_OUT=(tests .ci .gitignore .github docs/screenshots/pages)
# What the documentation has in place of the address where releases are.
ADDRESS_IN_DOCS=https://releases.example.com/mtproto
WORK=""

usage() {
    cat <<'END_OF_USAGE'
Usage: bash scripts/release.sh [options]

Makes a release of the commit that is checked out:

  OUT/download/VERSION/mtproto-VERSION.tar.gz    the panel, with its stylesheet, for servers without Node.js
  OUT/download/VERSION/SHA256SUMS
  OUT/download/VERSION/install.sh                fetches that very archive: curl -fsSL … | sudo bash
  OUT/latest/download/                           SHA256SUMS and install.sh of the release made last

Copy OUT to a web server as it is, or upload the three files of OUT/download/VERSION to a release on GitHub that
has the tag VERSION.

  --url URL      where OUT will be: written into the release, which looks for updates there. For GitHub:
                 https://github.com/OWNER/REPOSITORY/releases (MTPROTO_RELEASE_URL)
  --version V    the version; git describe if not given (VERSION)
  --out DIR      where to (dist)
  --venv DIR     Python environment that the stylesheet is built with; made if it is not there (.venv)
  --help         this text
END_OF_USAGE
}

say() { printf '==> %s\n' "$*"; }

fail() {
    printf '\nrelease.sh: %s\n' "$1" >&2
    exit 1
}

misuse() {
    printf 'release.sh: %s\n\n' "$1" >&2
    usage >&2
    exit 2
}

parse_options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --url | --version | --out | --venv)
                [ -n "${2:-}" ] || misuse "$1 needs a value."
                case $1 in
                    --url) URL=$2 ;;
                    --version) VERSION=$2 ;;
                    --out) OUT=$(realpath -m -- "$2") ;;
                    --venv) VENV=$(realpath -m -- "$2") ;;
                esac
                shift
                ;;
            -h | --help)
                usage
                exit 0
                ;;
            *) misuse "unknown option: $1" ;;
        esac
        shift
    done
    URL=${URL%/}
    [[ $URL =~ ^[A-Za-z0-9:/._~%@+-]*$ ]] || misuse "--url $URL: letters, digits and : / . _ ~ % @ + - are allowed."
}

choose_version() {
    VERSION=${VERSION:-$(git describe --tags --always)}
    [[ $VERSION =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] ||
        fail "the version is '$VERSION': letters, digits, '.', '_' and '-' are allowed, 128 at most."
    [ -z "$(git status --porcelain)" ] ||
        fail "not everything is committed, and a release is made of a commit: git status shows what."
}

# The tree of the commit, without anything that this folder holds beside it.
copy_commit() {
    local name
    mkdir "$TREE"
    git archive HEAD | tar -x -C "$TREE"
    for name in "${LEFT_OUT[@]}"; do rm -rf "${TREE:?}/$name"; done
    printf '%s\n' "$VERSION" >"$TREE/VERSION"
    if [ -n "$URL" ]; then
        printf '%s\n' "$URL" >"$TREE/RELEASE_URL"
        find "$TREE/README.md" "$TREE/docs" -name '*.md' -exec sed -i "s|$ADDRESS_IN_DOCS|$URL|g" {} +
    fi
}

build_stylesheet() {
    bash "$TREE/install.sh" --local --no-start --venv "$VENV" || fail "the stylesheet could not be built."
    find "$TREE" \( -name node_modules -o -name __pycache__ -o -name .venv -o -name .venv.path \) -prune -exec rm -rf {} +
    local name
    for name in panel.css vendor/uplot.js vendor/inter-latin.woff2; do
        [ -s "$TREE/app/web/static/build/$name" ] || fail "there is no $name after the front end's build."
    done
}

# Names in one order, the commit's time, nobody's account, one set of rights: the same bytes on every machine.
pack() {
    local time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
    mkdir -p "$PLACE"
    tar -C "$WORK" --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
        --format=gnu -cf - "$NAME" | gzip -9n >"$PLACE/$NAME.tar.gz.part"
    mv "$PLACE/$NAME.tar.gz.part" "$PLACE/$NAME.tar.gz"
    (cd "$PLACE" && sha256sum "$NAME.tar.gz" >SHA256SUMS)
}

# install.sh as it is fetched alone: it names its release and that one's checksum.
pin_installer() {
    local sum
    sum=$(cut -d ' ' -f 1 "$PLACE/SHA256SUMS")
    sed -e "s|^RELEASE_URL=.*|RELEASE_URL=\"${URL:+$URL/download/$VERSION/$NAME.tar.gz}\"|" \
        -e "s|^RELEASE_SHA256=.*|RELEASE_SHA256=\"$sum\"|" "$HERE/install.sh" >"$PLACE/install.sh"
}

publish_as_latest() {
    mkdir -p "$OUT/latest/download"
    cp "$PLACE/install.sh" "$PLACE/SHA256SUMS" "$OUT/latest/download/"
}

clean_up() { rm -rf "$WORK"; }

main() {
    parse_options "$@"
    cd "$HERE"
    choose_version
    NAME=mtproto-$VERSION
    PLACE=$OUT/download/$VERSION
    WORK=$(mktemp -d)
    trap clean_up EXIT
    TREE=$WORK/$NAME
    say "Copying $(git rev-parse --short HEAD) as $VERSION"
    copy_commit
    build_stylesheet
    say "Packing $PLACE"
    pack
    pin_installer
    publish_as_latest
    cat "$PLACE/SHA256SUMS"
    [ -n "$URL" ] || printf 'No --url: this release does not know where to look for updates.\n'
}

main "$@"
