"""Which port is whose: every TCP port that this program chose itself. 80 and 443 are the web's.

nginx/nginx.conf, docker-compose.yml, the Dockerfiles and host/ can't read this; tests/lib/test_portmap.py holds them
against it. The ports of the processes and containers of users are theirs (`config`).
"""

from __future__ import annotations

#: The panel, and nginx before it for this machine (docker-compose.yml).
PANEL = 8080

#: The port of the first user's proxy, until people say otherwise.
FIRST_PROXY = 2443

#: The port of a proxy that serves many users, until people say otherwise.
SHARED_PROXY = 8443

#: The port of MTProxy's first container, until people say otherwise; each further one has the next.
MTPROXY = 8543

#: In a proxy's container: what clients are led to. In every proxy, on an address of its own: its metrics, and what it
#: can be asked beside them.
CLIENTS, METRICS, API = 3128, 3129, 3130

#: nginx, for Docker's health check.
NGINX_HEALTH = 8081
#: nginx, for the panel: which configuration is served, and who uses the links that have a limit on addresses.
NGINX_VERSION, NGINX_DEVICES = 8082, 8083
#: nginx, for the proxies: the cover site that they pass strangers on to, and the file that mtg learns its pace from.
COVER, TIMING = 8444, 8445
#: nginx, for itself: the panel by HTTPS, and where connections to port 443 are turned away, with TLS or without a word.
PANEL_HTTPS, REJECT, CLOSE = 8448, 8446, 8447
#: nginx, for everybody: the panel by HTTPS at the bare address (docker-compose.yml says which port of the machine that
#: is), and for itself what that leads to.
DOOR, DOOR_HTTPS = 8449, 8450
#: Traefik, where it stands before nginx (docker-compose.traefik.yml): for everybody, as the machine's 443, and for the
#: panel, what it serves.
ROUTER, ROUTER_API = 8451, 8452
