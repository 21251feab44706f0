# The panel. Build it from the repository's root:
#   docker build -t mtproto-panel .
# Every image it stands on and every registry it reads from is an ARG, for machines that
# reach only a mirror: --build-arg PYTHON_IMAGE=mirror.example/python:3.12-slim-bookworm
# PYTHON_IMAGE must be Debian-like, with python3 (3.11 or newer) and its venv module.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm
ARG NODE_IMAGE=node:20-bookworm-slim

# The stylesheet, made from the classes that the templates use. Node stays in this stage. STYLESHEET=ready: it is in
# app/web/static/build already, as in a release; NODE_IMAGE may then be any image, such as that of Python.
FROM ${NODE_IMAGE} AS frontend
LABEL mtproto.stage=frontend
ARG NPM_REGISTRY=
ARG STYLESHEET=build
WORKDIR /src/app/web/frontend
COPY app/web/frontend/package.json app/web/frontend/package-lock.json app/web/frontend/.npmrc ./
RUN [ "$STYLESHEET" = ready ] || npm ci ${NPM_REGISTRY:+--registry "$NPM_REGISTRY"}
COPY app/web/frontend ./
COPY app/web/templates ../templates
COPY app/web/static ../static
RUN if [ "$STYLESHEET" = ready ]; then test -s ../static/build/panel.css; \
    else rm -rf ../static/build && npm run build; fi

# The panel and its Python packages, in an environment that doesn't care where the base keeps Python.
FROM ${PYTHON_IMAGE} AS panel
LABEL mtproto.stage=panel
ARG PIP_INDEX_URL=
COPY requirements.txt /tmp/requirements.txt
RUN python3 -m venv /venv \
 && /venv/bin/python -m pip install --no-cache-dir --no-input --disable-pip-version-check \
        ${PIP_INDEX_URL:+--index-url "$PIP_INDEX_URL"} -r /tmp/requirements.txt \
 # Nothing is installed into a running panel.
 && /venv/bin/python -m pip uninstall --quiet --yes pip
WORKDIR /opt/panel
COPY wsgi.py ./
COPY app ./app
RUN rm -rf app/web/static/build
# What the panel writes for nginx is made from these.
COPY nginx/templates ./nginx/templates
COPY --from=frontend /src/app/web/static/build ./app/web/static/build
# Compiled here: the account that runs it may write into /data only.
RUN rm -rf app/web/frontend && /venv/bin/python -m compileall -q app wsgi.py

FROM ${PYTHON_IMAGE}
# A fixed number, so that a folder of the host can be given to it: chown 10001:10001.
RUN groupadd --system --gid 10001 panel \
 && useradd --system --uid 10001 --gid panel --home-dir /data --no-create-home \
        --shell /usr/sbin/nologin panel \
 && install -d -o panel -g panel -m 0700 /data \
 # A volume of its own for nginx gets this folder's owner and rights.
 && install -d -o panel -g panel -m 0755 /data/nginx
COPY --from=panel /venv /venv
COPY --from=panel /opt/panel /opt/panel
WORKDIR /opt/panel
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MTPROTO_DATA_DIR=/data
ARG VERSION=dev
ENV MTPROTO_VERSION=${VERSION}
LABEL org.opencontainers.image.title="MTProto Proxy Manager" \
      org.opencontainers.image.description="Web panel that runs one Telegram proxy per user" \
      org.opencontainers.image.version="${VERSION}"
USER 10001:10001
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python3", "-c", \
         "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
# One process, waitress with eight threads: see app/cli/server.py.
# What it prints is kept by Docker, so the first password is not in it.
CMD ["python3", "-m", "app.cli", "serve", "--bind", "0.0.0.0", "--port", "8080", "--no-password"]
