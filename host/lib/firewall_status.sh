#!/usr/bin/env bash
# What is wanted of the firewall against what is there, for people, programs and doctor. Changes nothing.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (firewall.sh)

# Of firewall_status: the kind; ranges that are wanted, that nobody lets through, and that only we still let through, one a
# line; limits as "LIMIT RANGES" lines; "yes" where all is as wanted.
STATUS_KIND=none STATUS_WANTED="" STATUS_MISSING="" STATUS_EXTRA=""
STATUS_LIMITS="" STATUS_LIMITED="" STATUS_RIGHT=yes

firewall_status() {
    local place have need
    FIREWALL_RULES=$MTPROTO_HOME/firewall.rules
    STATUS_MISSING="" STATUS_EXTRA="" STATUS_RIGHT=yes
    STATUS_KIND=$(firewall_kind)
    STATUS_WANTED=$(wanted_ports | ranges)
    while IFS= read -r place; do
        [ -n "$place" ] || continue
        # shellcheck disable=SC2086 # its words
        have=$(opened $place)
        need=$STATUS_WANTED
        case $place in firewalld*) need=$(minus "$need" "$(opened_by_others "${place#* }")") ;; esac
        STATUS_MISSING+=$(minus "$need" "$have")$'\n'
        STATUS_EXTRA+=$(minus "$have" "$need")$'\n'
    done < <(places_of "$STATUS_KIND")
    STATUS_MISSING=$(ranges <<<"$STATUS_MISSING")
    STATUS_EXTRA=$(ranges <<<"$STATUS_EXTRA")
    STATUS_LIMITS=$(wanted_limits)
    STATUS_LIMITED=$(limits_there "$(limits_table)")
    have=no need=no
    if [ -n "$STATUS_LIMITS" ] && wants_offences; then need=yes; fi
    if [ -n "$STATUS_LIMITS" ]; then have=$(offences_there "$(limits_table)"); fi
    if [ -n "$STATUS_MISSING$STATUS_EXTRA" ] || [ "$STATUS_LIMITS" != "$STATUS_LIMITED" ] || [ "$have" != "$need" ]; then
        STATUS_RIGHT=no
    fi
}

# watched: whether systemd sees to it from now on.
watched() { systemctl is-active mtproto-firewall.path >/dev/null 2>&1 </dev/null; }

status_text() {
    local port count
    printf 'firewall  %s\n' "${STATUS_KIND/none/none is in force here}"
    printf 'wanted    %s (TCP)\n' "$(listed "${STATUS_WANTED:-nothing}")"
    if [ -n "$STATUS_MISSING" ]; then printf 'missing   %s (TCP)\n' "$(listed "$STATUS_MISSING")"; fi
    if [ -n "$STATUS_EXTRA" ]; then printf 'too much  %s (TCP)\n' "$(listed "$STATUS_EXTRA")"; fi
    if [ -n "$STATUS_LIMITED" ]; then printf 'limits    %s\n' "$(limits_listed "$STATUS_LIMITED")"; else printf 'limits    none\n'; fi
    if [ "$STATUS_LIMITED" != "$STATUS_LIMITS" ]; then
        printf '          wanted: %s\n' "$(limits_listed "${STATUS_LIMITS:-0 nothing}")"
    fi
    while read -r port count; do
        if [ -n "$port" ]; then printf 'refused   %s on port %s\n' "$count" "$port"; fi
    done < <(refused)
    if [ "$STATUS_RIGHT" = yes ]; then
        printf 'Everything is as wanted.\n'
    else
        printf 'The rules are not as wanted. This makes them so:\n\n    sudo mtproto firewall apply\n\n'
    fi
    if ! watched; then printf 'systemd does not watch for changes: mtproto firewall apply lets it do so.\n'; fi
}

status_json() {
    local limit ports port count first=""
    printf '{\n  "kind": "%s",\n  "as_wanted": %s,\n  "watched": %s' "$STATUS_KIND" \
        "$([ "$STATUS_RIGHT" = no ] && printf false || printf true)" "$(watched && printf true || printf false)"
    printf ',\n  "wanted": %s,\n  "missing": %s,\n  "extra": %s' "$(json_list "$STATUS_WANTED")" \
        "$(json_list "$STATUS_MISSING")" "$(json_list "$STATUS_EXTRA")"
    printf ',\n  "limits": %s,\n  "limits_wanted": %s,\n  "refused": {' "$(json_limits "$STATUS_LIMITED")" \
        "$(json_limits "$STATUS_LIMITS")"
    while read -r port count; do
        if [ -n "$port" ]; then
            printf '%s"%s": %s' "$first" "$port" "$count"
            first=", "
        fi
    done < <(refused)
    printf '}\n}\n'
}

# json_list RANGES: each as a text, as "2443" or "2443-2450".
json_list() { printf '[%s]' "$(sed -n 's/^[0-9].*/"&"/p' <<<"$1" | paste -sd , - | sed 's/,/, /g')"; }

# json_limits LIMITS
json_limits() {
    local limit ports first=""
    printf '['
    while read -r limit ports; do
        [ -n "$limit" ] || continue
        printf '%s{"per_minute": %s, "ports": %s}' "$first" "$limit" "$(json_list "${ports//,/$'\n'}")"
        first=", "
    done <<<"$1"
    printf ']'
}
