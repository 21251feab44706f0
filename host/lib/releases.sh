#!/usr/bin/env bash
# Which releases there are, and how one gets to this server: fetched, verified, unpacked beside the one that serves.
#
# A place of releases is any web server, a folder (file://), or GitHub's releases of a repository; scripts/release.sh
# makes what lies there:
#   URL/latest/download/SHA256SUMS
#   URL/download/VERSION/SHA256SUMS
#   URL/download/VERSION/mtproto-VERSION.tar.gz
# An URL that ends in .tar.gz is the one release there, with its SHA256SUMS beside it.

# release_url: the place of releases: the environment's, that of this installation, or the release's own.
release_url() {
    local url=${MTPROTO_RELEASE_URL:-}
    [ -n "$url" ] || url=$(env_get MTPROTO_RELEASE_URL)
    if [ -z "$url" ] && [ -s "$HERE/RELEASE_URL" ]; then url=$(head -n 1 "$HERE/RELEASE_URL"); fi
    [ -n "$url" ] || fail "no place of releases is known: neither MTPROTO_RELEASE_URL nor $MTPROTO_HOME/.env names one.
A checkout or an archive on this server is taken with --from." "MTPROTO_RELEASE_URL=https://… bash '$HERE/update.sh'"
    printf '%s' "${url%/}"
}

# fetch_file URL FILE
fetch_file() {
    run curl -fsSL --retry 2 --connect-timeout 15 --speed-limit 100 --speed-time 60 -o "$2" "$1"
}

# fetch_sums URL FILE [VERSION]: the SHA256SUMS of that release, or of the newest.
fetch_sums() {
    local place
    case $1 in
        *.tar.gz) place=${1%/*} ;;
        *) if [ -n "${3:-}" ]; then place=$1/download/$3; else place=$1/latest/download; fi ;;
    esac
    fetch_file "$place/SHA256SUMS" "$2"
}

# version_of SUMS: the version that a SHA256SUMS is about; nothing if it is about none.
version_of() {
    sed -n 's/^[0-9a-f]\{64\}[ *]*mtproto-\([A-Za-z0-9_][A-Za-z0-9_.-]\{0,127\}\)\.tar\.gz$/\1/p' "$1" | head -n 1
}

# newest_version URL: of the place. 1 if it can't be asked.
newest_version() {
    local sums code=0
    sums=$(mktemp) || return 1
    fetch_sums "$1" "$sums" && version_of "$sums" || code=1
    rm -f "$sums"
    return "$code"
}

# fetch_release URL VERSION: the archive of that version, verified, as ARCHIVE. One that was fetched before is taken.
fetch_release() {
    local folder=$MTPROTO_HOME/.download wanted name=mtproto-$2.tar.gz url=$1/download/$2/mtproto-$2.tar.gz
    case $1 in *.tar.gz) url=$1 ;; esac
    mkdir -p "$folder" || fail_writing "$folder"
    ARCHIVE=$folder/$name
    fetch_sums "$1" "$folder/SHA256SUMS" "$2" ||
        fail_run "there is no release $2 at $1, or no way to it."
    wanted=$(sed -n "s/^\([0-9a-f]\{64\}\)[ *]*mtproto-${2//./\\.}\.tar\.gz\$/\1/p" "$folder/SHA256SUMS" | head -n 1)
    [ -n "$wanted" ] || fail "the SHA256SUMS of the release $2 does not name $name."
    if [ "$(sha256_of "$ARCHIVE")" = "$wanted" ]; then return; fi
    fetch_file "$url" "$ARCHIVE.part" || fail_run "the release $2 could not be fetched from $url."
    if [ "$(sha256_of "$ARCHIVE.part")" != "$wanted" ]; then
        local got
        got=$(sha256_of "$ARCHIVE.part")
        rm -f "$ARCHIVE.part"
        fail "what was fetched is not the release $2: its SHA-256 is
$got, and not
$wanted. It was thrown away."
    fi
    mv -f "$ARCHIVE.part" "$ARCHIVE" || fail_writing "$ARCHIVE"
}

sha256_of() { if [ -e "$1" ]; then sha256sum "$1" | cut -d ' ' -f 1; fi; }

# unpack FILE FOLDER: a release's archive; FOLDER then holds the tree itself.
unpack() {
    mkdir -p "$2" || fail_writing "$2"
    run tar -xzf "$1" -C "$2" --strip-components=1 --no-same-owner ||
        fail_run "the archive $1 could not be unpacked."
    if [ ! -s "$2/VERSION" ] || [ ! -e "$2/docker-compose.yml" ]; then
        fail "$1 is no release: there is no VERSION or no docker-compose.yml in it."
    fi
}

# verify_beside ARCHIVE: verifies an archive on this disk, where a SHA256SUMS lies beside it and names it.
verify_beside() {
    local sums wanted
    sums=$(dirname "$1")/SHA256SUMS
    [ -e "$sums" ] || return 0
    wanted=$(awk -v name="$(basename "$1")" '{ sub(/^\*/, "", $2) } $2 == name { print $1; exit }' "$sums")
    [ -z "$wanted" ] || [ "$(sha256_of "$1")" = "$wanted" ] ||
        fail "$1 is not what $sums says: its SHA-256 is $(sha256_of "$1"), and not $wanted."
}
