# Stands in for nginx:1.30, as Debian 13 has it: 1.26 on OpenSSL 3.5, with the module for scripts, which nginx:1.30 has.
ARG BASE
FROM ${BASE}
RUN sed -i s/bookworm/trixie/g /etc/apt/sources.list \
 && apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light libnginx-mod-stream libnginx-mod-stream-js curl \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
