# The panel. Build it from the repository's root:
#   docker build -t mtproto-panel .
# Every image it stands on and every registry it reads from is an ARG, for machines that
# reach only a mirror: --build-arg PYTHON_IMAGE=mirror.example/python:3.12-slim-bookworm
# PYTHON_IMAGE must be Debian-like, with python3 (3.11 or newer) and its venv module.
# What stays the same from release to release comes first: Docker builds it once, and an update on a small server
# copies the source and compiles it.
ARG PYTHON_IMAGE=python:3.12-slim-bookworm
ARG NODE_IMAGE=node:20-bookworm-slim

# The Python packages, in an environment that doesn't care where the base keeps Python. A stage of its own, as the
# history of an image tells the ARGs of its steps, and PIP_INDEX_URL may hold a password.
FROM ${PYTHON_IMAGE} AS packages
LABEL mtproto.stage=packages
ARG PIP_INDEX_URL=
COPY requirements.txt /tmp/requirements.txt
RUN python3 -m venv /venv \
 && /venv/bin/python -m pip install --no-cache-dir --no-input --disable-pip-version-check \
        ${PIP_INDEX_URL:+--index-url "$PIP_INDEX_URL"} -r /tmp/requirements.txt \
 # Nothing is installed into a running panel.
 && /venv/bin/python -m pip uninstall --quiet --yes pip

# The panel, with the stylesheet that is in the tree, as in a release: --target ready builds it without Node.
FROM ${PYTHON_IMAGE} AS ready
# A fixed number, so that a folder of the host can be given to it: chown 10001:10001.
RUN groupadd --system --gid 10001 panel \
 && useradd --system --uid 10001 --gid panel --home-dir /data --no-create-home \
        --shell /usr/sbin/nologin panel \
 && install -d -o panel -g panel -m 0700 /data \
 # Volumes of their own for nginx and Traefik get these folders' owner and rights.
 && install -d -o panel -g panel -m 0755 /data/nginx /data/traefik /data/traefik/dynamic
WORKDIR /opt/panel
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MTPROTO_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
# Without Python, which takes a small server a tenth of a second of its processor each time.
HEALTHCHECK --interval=30s --timeout=30s --start-period=30s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && \
         read -r -t 20 status <&3 && [[ $status == *' 200 '* ]]"]
# One process, waitress with eight threads: see app/cli/server.py.
# What it prints is kept by Docker, so the first password is not in it.
CMD ["python3", "-m", "app.cli", "serve", "--bind", "0.0.0.0", "--port", "8080", "--no-password"]
COPY --from=packages /venv /venv
# The panel, and what it makes nginx's files from; .dockerignore keeps out of them what is not needed.
COPY app ./app
COPY nginx ./nginx
COPY wsgi.py ./
# Compiled here: the account that runs it may write into /data only.
RUN rm -rf app/web/frontend && /venv/bin/python -m compileall -q app wsgi.py
USER 10001:10001
ARG VERSION=dev
ENV MTPROTO_VERSION=${VERSION}
LABEL org.opencontainers.image.title="MTProto Proxy Manager" \
      org.opencontainers.image.description="Web panel that runs one Telegram proxy per user" \
      org.opencontainers.image.version="${VERSION}"

# The stylesheet, made from the classes that the templates use. Node stays in this stage.
FROM ${NODE_IMAGE} AS frontend
LABEL mtproto.stage=frontend
ARG NPM_REGISTRY=
WORKDIR /src/app/web/frontend
COPY app/web/frontend/package.json app/web/frontend/package-lock.json app/web/frontend/.npmrc ./
RUN npm ci ${NPM_REGISTRY:+--registry "$NPM_REGISTRY"}
COPY app/web/frontend ./
COPY app/web/templates ../templates
COPY app/web/static ../static
RUN rm -rf ../static/build && npm run build

FROM ready
COPY --from=frontend /src/app/web/static/build ./app/web/static/build
