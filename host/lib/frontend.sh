#!/usr/bin/env bash
# What the stylesheet is made from, and whether the one that is there was made from that.

fingerprint() { sha256sum | cut -d ' ' -f 1; }

is_stamped() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

# Everything that the stylesheet is made from, in the current folder: a class used in a template is part of it.
frontend_sources() {
    find app/web -type f -not -path '*/node_modules/*' -not -path 'app/web/static/build/*' \
        -not -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
}

# has_stylesheet TREE: is one there, of today's sources? That of a release (VERSION) always is.
has_stylesheet() {
    [ -s "$1/app/web/static/build/panel.css" ] || return 1
    [ ! -e "$1/VERSION" ] || return 0
    is_stamped "$1/app/web/static/build/.stamp" "$(cd "$1" && frontend_sources | fingerprint)"
}
