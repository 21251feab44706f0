#!/usr/bin/env bash
# Is there enough of everything: memory, disk, the right time, a way to the internet. Nothing is changed here.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

# MB. A server that is sold with 512 shows less: the kernel keeps some for itself.
LEAST_MEMORY=430

# When this was written: a clock that shows an earlier time is wrong.
WRITTEN=$(date -d 2026-11-01 +%s 2>/dev/null || printf 0)
# Servers that are asked for the time by plain HTTP, as by HTTPS a wrong clock gets no answer.
TIME_URLS=${MTPROTO_TIME_URLS-"http://deb.debian.org http://archive.ubuntu.com http://www.google.com"}
# Apps whose time differs more from the server's are refused (s).
CLOCK_TOLERANCE=20
OUTSIDE_TIME=""

memory_field() { sed -n "s/^$1: *\([0-9]*\) kB/\1/p" "$PROC/meminfo" | head -n 1; }

# MB of memory, and with swap.
memory_mb() { printf '%s' $(($(memory_field MemTotal) / 1024)); }
memory_and_swap_mb() { printf '%s' $((($(memory_field MemTotal) + $(memory_field SwapTotal)) / 1024)); }

check_memory() {
    local memory together swap=${GIVEN[SWAP]-${MTPROTO_SWAP-0}}
    memory=$(memory_mb) together=$(memory_and_swap_mb)
    note "$memory MB of memory, $((together - memory)) MB of swap"
    [[ $swap =~ ^[0-9]{1,5}$ ]] || fail_answer "--swap $swap: a number of MB is allowed, 0 for none."
    SWAP_MB=$swap
    if [ "$together" -ge "$LEAST_MEMORY" ] || [ "$SWAP_MB" -gt 0 ]; then return; fi
    if in_container; then
        fail "$together MB of memory and swap is too little: 512 MB are needed, and in a container swap is up to the host."
    fi
    if [ "$(ask_yes_no "Only $memory MB of memory, 512 are needed. Make a swap file of 1 GB?" no)" = yes ]; then
        SWAP_MB=1024
        return
    fi
    fail "$together MB of memory and swap is too little: 512 MB are needed. A swap file of 1 GB is made with --swap." \
        "$AGAIN --swap 1024"
}

# make_swap: the file that was agreed to, once.
make_swap() {
    local file=$MTPROTO_HOME/swap
    [ "$SWAP_MB" -gt 0 ] || return 0
    if grep -qF "$file " "$PROC/swaps" 2>/dev/null; then return; fi
    note "making a swap file of $SWAP_MB MB: $file"
    if [ ! -e "$file" ]; then
        rm -f "$file.new"
        (umask 077 && run dd if=/dev/zero of="$file.new" bs=1M count="$SWAP_MB") || {
            rm -f "$file.new"
            fail_run "the swap file could not be made."
        }
        run mkswap "$file.new" || fail_run "the swap file could not be made."
        mv "$file.new" "$file"
    fi
    run swapon "$file" || fail_run "the swap file could not be used."
    # fstab writes a space in a name as \040.
    if ! grep -q '# mtproto$' "$FSTAB"; then
        { cat "$FSTAB" && printf '%s none swap sw,nofail 0 0 # mtproto\n' "${file// /\\040}"; } | write_file "$FSTAB" 0644
    fi
}

check_disk() {
    local folder=$MTPROTO_HOME free least=$LEAST_DISK
    while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
    # -w says yes to root on a disk that can only be read; making a file doesn't.
    if ! { : >"$folder/.mtproto-write.$$"; } 2>/dev/null; then
        fail "nothing can be written into $folder: the disk may be mounted read-only (mount shows it), or full (df -h)."
    fi
    rm -f "$folder/.mtproto-write.$$"
    if is_installed; then least=$LEAST_DISK_AGAIN; fi
    for folder in "$MTPROTO_HOME" /var/lib/docker; do
        free=$(disk_free_mb "$folder")
        note "$free MB free for $folder"
        [ "$free" -ge "$least" ] || fail "$free MB are free for $folder, and $least MB are needed." \
            "df -h; du -xh --max-depth=2 / | sort -h | tail    # where it went"
    done
}

# http_date URL: the Date that this server tells (s since 1970), nothing without an answer. Needs no program.
http_date() {
    local host=${1#http://} port=80
    host=${host%%/*}
    case $host in *:*) port=${host##*:} host=${host%:*} ;; esac
    # shellcheck disable=SC2016
    timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2" && printf "HEAD / HTTP/1.0\r\nHost: $1\r\n\r\n" >&3 && cat <&3' \
        http "$host" "$port" 2>/dev/null </dev/null | tr -d '\r' | sed -n 's/^[Dd]ate: //p' | head -n 1 || true
}

ask_outside_time() {
    local url date
    for url in $TIME_URLS; do
        date=$(http_date "$url")
        if [ -n "$date" ] && OUTSIDE_TIME=$(date -d "$date" +%s 2>/dev/null); then return; fi
    done
    OUTSIDE_TIME=""
}

check_clock_and_network() {
    local now off
    now=$(date +%s)
    if [ "$now" -lt "$WRITTEN" ]; then
        fail "this server's clock says $(date -u '+%Y-%m-%d %H:%M'), which is in the past. With a wrong clock no package
and no certificate is trusted, and Telegram's apps are refused." "timedatectl set-ntp true; date -s 'YYYY-MM-DD HH:MM'"
    fi
    ask_outside_time
    if [ -z "$OUTSIDE_TIME" ]; then
        check_route
        if [ -n "$TIME_URLS" ]; then
            warn "no server outside answered by HTTP, so the clock was not compared, and the internet may be out of reach"
        fi
        return
    fi
    off=$((now - OUTSIDE_TIME))
    off=${off#-}
    if [ "$off" -gt 3600 ]; then
        fail "this server's clock is wrong: it says $(date -u '+%Y-%m-%d %H:%M'), and servers outside say \
$(date -u -d "@$OUTSIDE_TIME" '+%Y-%m-%d %H:%M')." "timedatectl set-ntp true"
    elif [ "$off" -gt "$CLOCK_TOLERANCE" ]; then
        warn "the clock is $off s off: Telegram's apps will be refused. This mends it: timedatectl set-ntp true"
    else
        note "the clock is right, and the internet can be reached"
    fi
}

check_route() {
    if command -v ip >/dev/null && [ -z "$(ip route show default 2>/dev/null; ip -6 route show default 2>/dev/null)" ]; then
        fail "there is no way to the internet: this server has no default route." "ip route; ip address    # what there is"
    fi
}

# Other people's web servers, proxies and panels, by the name of their process.
OTHERS="nginx apache2 httpd caddy lighttpd haproxy traefik envoy x-ui 3x-ui xray v2ray sing-box marzban hysteria mtg \
mtproto-proxy telemt openresty litespeed plesk cpsrvd"

report_others() {
    local name found="" comm
    for comm in "$PROC"/[0-9]*/comm; do
        # A process may have ended meanwhile.
        { read -r name <"$comm"; } 2>/dev/null || continue
        case " $OTHERS " in *" $name "*) ;; *) continue ;; esac
        case " $found " in *" $name "*) continue ;; esac
        # Those in containers, ours among them, are found by the ports that they hold.
        if grep -qE 'docker|containerd|kubepods|libpod' "${comm%/comm}/cgroup" 2>/dev/null; then continue; fi
        found+=" $name"
    done
    # Panels that are folders and services, not processes of that name.
    for name in "3x-ui:/etc/x-ui" "3x-ui:/usr/local/x-ui" "Marzban:/opt/marzban" "Hiddify:/opt/hiddify-manager" \
        "Amnezia:/opt/amnezia"; do
        if [ -d "${MTPROTO_ROOT:-}${name#*:}" ]; then found+=" ${name%%:*} (${name#*:})"; fi
    done
    if [ -n "$found" ]; then note "also on this server, and left alone:$found"; fi
}
