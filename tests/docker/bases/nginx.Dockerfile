# Stands in for nginx:1.30: Debian's nginx with its stream module, and the curl that the real image has too.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light libnginx-mod-stream curl \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
