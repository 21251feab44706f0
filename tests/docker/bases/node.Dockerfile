# Stands in for node:20-bookworm-slim: Node.js from the Python package that install.sh uses too.
ARG BASE
FROM ${BASE}
ARG NODE_WHEEL
RUN python3 -m venv /opt/node \
 && /opt/node/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check "${NODE_WHEEL}"
ENV PATH=/opt/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
