# Stands in for nginx:1.30, as Debian 13 has it: 1.26 on OpenSSL 3.5. The module for scripts is there, but not loaded by itself.
ARG BASE
FROM ${BASE}
RUN sed -i s/bookworm/trixie/g /etc/apt/sources.list \
 && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light libnginx-mod-stream libnginx-mod-stream-js curl \
 && rm -rf /etc/nginx/modules-enabled/*-mod-stream-js.conf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
