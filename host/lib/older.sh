#!/usr/bin/env bash
# An older installation, or a folder carried here from another server: its users, secrets, ports, passwords and traffic
# become those of this one. Its own folder stays as it is.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

# The folder with its config.json; empty where none is taken over.
OLDER=""
# What makes an installation, of what may be there.
OLDER_PARTS="traffic.json panel.db panel.db-wal certificates nginx/cover"

# find_older: what --take-over names, or what was found and agreed to. Nothing is changed.
find_older() {
    local named=${GIVEN[TAKE_OVER]-${MTPROTO_TAKE_OVER-}} found
    if [ -n "$named" ]; then
        found=$(folder_of_older "$named")
        [ -n "$found" ] || fail_answer "--take-over $named: there is no config.json with users in it, nor in $named/data."
        if is_installed; then
            if [ "$(head -n 1 "$MTPROTO_HOME/.taken-over" 2>/dev/null)" = "$found" ]; then
                note "$found was taken over before"
                return
            fi
            fail "there is an installation in $MTPROTO_HOME already, whose users would be lost. A backup of the other
one can take its place:" "mtproto restore FILE    # made by: mtproto backup FILE"
        fi
    else
        is_installed && return
        found=$(look_for_older)
        [ -n "$found" ] || return 0
        if [ -z "$TERMINAL" ]; then
            note "there is an older installation in $found; --take-over '$found' takes its users over"
            return
        fi
        [ "$(ask_yes_no "There is an older installation in $found, with $(users_of_older "$found") users. Take it over?" yes)" = yes ] ||
            return 0
    fi
    case $(older_value "$found" runtime) in
        process) fail "$found is an installation of this very program, without Docker. Its backup goes to the new one:" \
            "host/mtproto backup /root/mtproto.tar.gz    # there; then here: install.sh, and mtproto restore" ;;
    esac
    OLDER=$found
    note "taking over $OLDER: $(users_of_older "$OLDER") users"
    answers_of_older
}

# folder_of_older FOLDER: where its config.json is; nothing if there is none of a panel.
folder_of_older() {
    local folder
    for folder in "$1" "$1/data"; do
        if [ -f "$folder/config.json" ] && grep -q '"users"\|"admin_password_hash"' "$folder/config.json"; then
            realpath -- "$folder"
            return
        fi
    done
}

# Where people have put one: this very checkout, or beside it, or what Docker's compose projects say.
look_for_older() {
    local folder found
    while IFS= read -r folder; do
        if [ -n "$folder" ] && [ "$folder" != "$MTPROTO_HOME" ]; then
            found=$(folder_of_older "$folder")
            case $found in "" | "$MTPROTO_HOME"/*) ;; *) printf '%s' "$found" && return ;; esac
        fi
    done < <(
        printf '%s\n' "$HERE"
        if command -v docker >/dev/null; then
            docker ps -a --filter label=com.docker.compose.project \
                --format '{{.Label "com.docker.compose.project.working_dir"}}' 2>/dev/null </dev/null | sort -u || true
        fi
    )
}

# older_value FOLDER NAME: a text, number or flag of its config.json, however that is laid out.
older_value() {
    tr '\n' ' ' <"$1/config.json" | grep -oE "\"$2\"[[:space:]]*:[[:space:]]*(\"[^\"]*\"|[0-9]+|true|false)" | head -n 1 |
        sed -E 's/^"[^"]*"[[:space:]]*:[[:space:]]*//; s/^"(.*)"$/\1/' || true
}

users_of_older() { grep -oE '"secret"[[:space:]]*:' "$1/config.json" | wc -l; }

# What it says is the answer, where nobody gave another one. What is odd there is the panel's to understand: only what
# a question would take is an answer.
answers_of_older() {
    local domain address
    domain=$(older_value "$OLDER" server_domain) address=$(older_value "$OLDER" server_ip)
    domain=${domain#*://}
    domain=${domain%%/*}
    domain=${domain%%:*}
    if [[ $domain =~ ^[0-9.]+$ ]]; then address=${address:-$domain} domain=""; fi
    older_answer DOMAIN "$domain" check_domain
    older_answer ADDRESS "$address" check_address
    older_answer BASE_PORT "$(older_value "$OLDER" proxy_port)" check_base_port
    older_answer PORT_443 "$(older_value "$OLDER" port_443_mode)" check_yes_no
    older_answer EMAIL "$(older_value "$OLDER" acme_email)" check_email
    if [ -n "$domain" ]; then
        older_answer NAMING "$(older_value "$OLDER" sni_mode)" check_naming
        older_answer HTTPS "$([ -n "$(older_value "$OLDER" panel_domain)" ] && printf yes || printf no)" check_yes_no
    fi
}

# older_answer NAME VALUE CHECK
older_answer() {
    local variable=MTPROTO_$1
    if [ -z "$2" ] || [ -n "${GIVEN[$1]+set}${!variable+set}" ]; then return; fi
    "$3" "$2"
    if [ -z "$WRONG" ]; then GIVEN[$1]=$CHECKED; fi
}

# is_of_older PORT: is it held by what is taken over? Its proxies are replaced one at a time, and its panel makes room.
is_of_older() {
    local id name
    command -v docker >/dev/null || return 1
    while read -r id name; do
        case $name in mtg-proxy | mtg-proxy-*) return 0 ;; esac
        if [ -n "$id" ] && older_containers | grep -qxF -- "$id"; then return 0; fi
    done < <(docker ps --filter "publish=$1" --format '{{.ID}} {{.Names}}' 2>/dev/null </dev/null)
    return 1
}

# The containers of its panel: those that have its folder, or one around it, from this machine. By id.
older_containers() {
    local id source
    command -v docker >/dev/null || return 0
    for id in $(docker ps -q 2>/dev/null </dev/null); do
        while IFS= read -r source; do
            case $OLDER/ in "${source%/}"/*) if [ -n "${source%/}" ]; then printf '%s\n' "$id" && break; fi ;; esac
        done < <(docker inspect --format '{{range .Mounts}}{{.Source}}{{"\n"}}{{end}}' "$id" 2>/dev/null </dev/null)
    done
}

# take_over_older: before our panel begins. Ended in the middle, the next run does it again: config.json comes last.
take_over_older() {
    local part id new=$MTPROTO_HOME/data/config.json.new.$$
    [ -n "$OLDER" ] || return 0
    if is_installed; then return; fi
    for id in $(older_containers); do
        # Two panels would take each other's proxies for strangers. It is kept, for whoever wants to go back.
        note "stopping the older panel's container $(docker inspect --format '{{.Name}}' "$id" 2>/dev/null </dev/null | tr -d /)"
        run docker update --restart=no "$id" || true
        run docker stop "$id" || fail_run "the older panel's container could not be stopped." "docker stop $id"
    done
    for part in $OLDER_PARTS; do
        [ -e "$OLDER/$part" ] || continue
        mkdir -p "$(dirname "$MTPROTO_HOME/data/$part")" || fail_writing "$MTPROTO_HOME/data/$part"
        rm -rf "${MTPROTO_HOME:?}/data/$part"
        cp -RP --preserve=timestamps -- "$OLDER/$part" "$MTPROTO_HOME/data/$part" || fail_writing "$MTPROTO_HOME/data/$part"
        # A link may lead anywhere on this server.
        find "$MTPROTO_HOME/data/$part" -type l -delete
        note "$part"
    done
    # Its settings are the panel's already; but where it knew no address, ours goes into the links.
    if [ -n "$(older_value "$OLDER" server_domain)$(older_value "$OLDER" server_ip)" ]; then
        wanted_settings | write_file "$MTPROTO_HOME/.applied" 0600
    else
        wanted_settings | grep -v '^server_domain=' | write_file "$MTPROTO_HOME/.applied" 0600
    fi
    printf '%s\n' "$OLDER" | write_file "$MTPROTO_HOME/.taken-over" 0600
    (umask 077 && cat "$OLDER/config.json" >"$new") || fail_writing "$new"
    chown -R "$PANEL_UID:$PANEL_UID" "$MTPROTO_HOME/data" || fail_writing "$MTPROTO_HOME/data"
    chmod -R go-rwx "$MTPROTO_HOME/data" && chmod 0755 "$MTPROTO_HOME/data/nginx"
    if [ -d "$MTPROTO_HOME/data/nginx/cover" ]; then chmod -R go+rX "$MTPROTO_HOME/data/nginx/cover"; fi
    mv -f "$new" "$MTPROTO_HOME/data/config.json" || fail_writing "$MTPROTO_HOME/data/config.json"
    note "config.json; $OLDER itself stays as it is"
}

# tell_of_older: what of it was not understood, or has no effect.
tell_of_older() {
    local said
    [ -n "$OLDER" ] || return 0
    while IFS= read -r said; do note "$said"; done < <(panel config check 2>&1 </dev/null || true)
}
