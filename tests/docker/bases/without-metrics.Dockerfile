# An image of somebody else's: it serves users, and tells nothing of them.
ARG BASE
FROM ${BASE}
HEALTHCHECK NONE
COPY mtg /usr/local/bin/mtg
