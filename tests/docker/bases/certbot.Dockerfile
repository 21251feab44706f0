# Stands in for certbot/certbot: Debian's certbot.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends certbot \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
