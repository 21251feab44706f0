#!/usr/bin/env bash
# What of an installation only the server itself can see, as findings: Docker, containers, images, ports, the firewall,
# what comes back after a reboot. Nothing is changed.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (doctor.sh)

# The findings so far, as people read them and as JSON; how many are wrong.
TOLD="" FOUND="" WRONG=0

# finding ABOUT STATE TEXT [COMMAND]: STATE is ok, note or problem.
finding() {
    local mark=+
    case $2 in note) mark=- ;; problem) mark=! WRONG=$((WRONG + 1)) ;; esac
    TOLD+="$mark $1: $3"$'\n'
    if [ -n "${4:-}" ]; then TOLD+="    $4"$'\n'; fi
    FOUND+="${FOUND:+,}"$'\n'"  {\"about\": $(json_text "$1"), \"state\": $(json_text "$2"), \"text\": $(json_text "$3"), \
\"command\": $(json_text "${4:-}")}"
}

look_at_host() {
    look_at_update
    look_at_docker || return 0
    look_at_containers
    look_at_images
    look_at_ports
    look_at_firewall
    look_at_bans
    look_at_room
    look_at_reboot
}

look_at_update() {
    if [ -e "$MTPROTO_HOME/.update" ]; then
        finding release problem "an update was interrupted" "sudo mtproto update"
    else
        finding release ok "$(basename "$(readlink "$MTPROTO_HOME/current")") is installed in $MTPROTO_HOME"
    fi
}

# 1 where it does not answer: then nobody knows anything of the rest.
look_at_docker() {
    local version
    if ! command -v docker >/dev/null; then
        finding docker problem "Docker is not installed here" "sudo bash '$MTPROTO_HOME/current/install.sh'"
        return 1
    fi
    if ! MTPROTO_DOCKER_WAIT=${MTPROTO_DOCKER_WAIT:-60} wait_for_docker; then
        finding docker problem "Docker does not answer: $DOCKER_SAID" "$(docker_remedy)"
        return 1
    fi
    version=$(docker version --format '{{.Server.Version}}' 2>/dev/null </dev/null || true)
    if find_compose; then
        finding docker ok "Docker $version answers, and Compose $(compose_version)"
    else
        finding docker problem "Docker $version answers, but neither docker compose nor docker-compose works" \
            "sudo bash '$MTPROTO_HOME/current/install.sh'"
    fi
}

# Those of the stack; everybody's proxies are the panel's to look at.
look_at_containers() {
    local wanted="app nginx" name line state seen
    if [ "$(router)" = traefik ]; then wanted+=" traefik"; fi
    case ,$(env_get COMPOSE_PROFILES), in *,ssl,*) wanted+=" certbot" ;; esac
    seen=$(docker ps -a --filter label=com.docker.compose.project=mtproto \
        --format '{{.Label "com.docker.compose.service"}} {{.Status}}' 2>/dev/null </dev/null || true)
    for name in $wanted; do
        line=$(grep "^$name " <<<"$seen" | head -n 1 || true)
        state=${line#"$name "}
        case $line in
            "") finding containers problem "the container $name is not there" "sudo mtproto compose up -d" ;;
            *unhealthy* | *estarting*) finding containers problem "the container $name: $state" \
                "sudo mtproto compose logs --tail 50 $name" ;;
            "$name Up "*) finding containers ok "$name: $state" ;;
            *) finding containers problem "the container $name does not run: $state" "sudo mtproto compose up -d" ;;
        esac
    done
}

look_at_images() {
    local name image missing="" wanted="PANEL_IMAGE NGINX_IMAGE"
    if [ "$(router)" = traefik ]; then wanted+=" TRAEFIK_IMAGE"; fi
    for name in $wanted; do
        image=$(env_get "$name")
        if [ -n "$image" ] && ! docker image inspect "$image" >/dev/null 2>&1 </dev/null; then missing+=" $image"; fi
    done
    if [ -n "$missing" ]; then
        finding images problem "not here any more:$missing; what runs, runs on, and is not started again" \
            "sudo bash '$MTPROTO_HOME/current/install.sh' --home '$MTPROTO_HOME'"
    else
        finding images ok "those of the panel and of port 443 are here"
    fi
}

# Who listens where people come in.
look_at_ports() {
    local port who good="" stopped=no kept
    kept=$(kept_ports)
    if [ -n "$kept" ]; then
        finding ports problem "Docker keeps ports for a container that is not there any more, as after a power cut: $kept" \
            "sudo systemctl restart docker    # all containers of this server are started anew"
    fi
    if grep -q '"proxies_stopped": true' "$MTPROTO_HOME/data/config.json" 2>/dev/null; then stopped=yes; fi
    for port in $(wanted_ports); do
        who=$(holders "$port" | paste -sd , -)
        if [[ " $kept " == *" $port "* ]]; then continue; fi
        if is_ours "$port"; then
            good+=" $port"
        elif [ -n "$who" ]; then
            finding ports problem "port $port is held by $who, and not by this installation" "sudo ss -ltnp 'sport = :$port'"
        elif [ "$stopped" = yes ]; then
            finding ports note "nobody listens on port $port, as all proxies are stopped" "mtproto start"
        else
            # A user's who is disabled, expired or blocked has none, and that is right.
            finding ports note "nobody listens on port $port: a proxy that does not run" "mtproto status"
        fi
    done
    if [ -n "$good" ]; then finding ports ok "this installation listens on$good"; fi
}

# The rules that are wanted against those that are there.
look_at_firewall() {
    local fix="sudo mtproto firewall apply" wanted
    firewall_status
    wanted=$(listed "${STATUS_WANTED:-nothing}")
    if [ -n "$STATUS_MISSING" ]; then
        finding firewall problem "$STATUS_KIND does not let through what people need: $(listed "$STATUS_MISSING") (TCP)" "$fix"
    fi
    if [ -n "$STATUS_EXTRA" ]; then
        finding firewall note "$STATUS_KIND still lets through what nobody needs any more: $(listed "$STATUS_EXTRA") (TCP)" "$fix"
    fi
    if [ "$STATUS_KIND" = none ]; then
        finding firewall ok "none is in force here; one of the provider has to let through: $wanted (TCP)"
    elif [ -z "$STATUS_MISSING$STATUS_EXTRA" ]; then
        finding firewall ok "$STATUS_KIND lets through what people need: $wanted (TCP)"
    fi
    look_at_legacy_rules
    look_at_forwarding
    if [ "$STATUS_LIMITS" = "$STATUS_LIMITED" ]; then
        if [ -n "$STATUS_LIMITED" ]; then finding firewall ok "new connections from one address are limited: $(limits_listed "$STATUS_LIMITED")"; fi
    elif [ -n "$STATUS_LIMITS" ] && ! command -v nft >/dev/null; then
        finding firewall problem "new connections are not limited, as the program nft is missing" \
            "sudo sh -c 'apt-get install -y nftables || dnf install -y nftables' && $fix"
    else
        finding firewall problem "limits on new connections are not as wanted: $(limits_listed "${STATUS_LIMITS:-0 nothing}")" "$fix"
    fi
}

# What ufw, firewalld and nft show is not all, where somebody has used the older program beside them.
look_at_legacy_rules() {
    local legacy
    legacy=$(closing_tables | grep legacy | paste -sd , - || true)
    case $STATUS_KIND,$legacy in
        *,) ;;
        iptables,*) finding firewall note "there are two sets of rules here, and packets have to pass both: also those of $legacy" \
            "sudo ${legacy%%,*} -S" ;;
        *) finding firewall problem "$legacy has rules that close this server, beside those of $STATUS_KIND: nobody opens ports there" \
            "sudo ${legacy%%,*} -S INPUT" ;;
    esac
}

# Rules that people add for what Docker publishes (ufw-docker is best known) keep out what nobody allows there.
look_at_forwarding() {
    local rules program
    rules=$(for program in $(tables_programs); do $program -w -S DOCKER-USER 2>/dev/null </dev/null || true; done)
    if ! grep -E '^-A DOCKER-USER( .*)? -j (DROP|REJECT|ufw-docker-logging-deny)' <<<"$rules" >/dev/null; then return; fi
    if grep 'ufw-user-forward' <<<"$rules" >/dev/null; then
        if ! LC_ALL=C ufw show added 2>/dev/null </dev/null | grep "^ufw route allow.*$(env_get PROXY_SUBNET)" >/dev/null; then
            finding firewall problem "ufw-docker lets nothing through to containers that ufw does not allow: the proxies' network is $(env_get PROXY_SUBNET)" \
                "sudo ufw route allow proto tcp from any to $(env_get PROXY_SUBNET)"
        fi
    else
        finding firewall note "the chain DOCKER-USER has rules of somebody's that drop packets to containers" "sudo iptables -S DOCKER-USER"
    fi
}

look_at_room() {
    local folder free
    for folder in "$MTPROTO_HOME" /var/lib/docker; do
        [ -d "$folder" ] || continue
        free=$(disk_free_mb "$folder")
        if [ "$free" -lt "$LEAST_DISK_AGAIN" ]; then
            finding disk problem "$free MB are free for $folder; an update needs $LEAST_DISK_AGAIN" "docker system df; df -h"
        else
            finding disk ok "$free MB are free for $folder"
        fi
    done
}

# What comes back by itself when the server is started again.
look_at_reboot() {
    [ -d "${MTPROTO_ROOT:-}/run/systemd/system" ] || return 0
    if systemctl is-enabled docker >/dev/null 2>&1 </dev/null; then
        finding reboot ok "Docker starts with the server, and the containers with it"
    else
        finding reboot problem "Docker does not start with the server, so neither do the proxies" "sudo systemctl enable docker"
    fi
    if ! watched; then
        finding reboot problem "nobody watches for the ports of new users: mtproto-firewall.path does not run" \
            "sudo mtproto firewall apply"
    fi
}
