# Stands in for mtg-custom (Dockerfile.mtg): its `mtg` is the built-in engine, which reads the same
# file and serves the same metrics. Everything else is as there: tools, account, entry point.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends iproute2 nftables \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
ARG CRYPTOGRAPHY
RUN python3 -m venv /venv \
 && /venv/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check "${CRYPTOGRAPHY}"
COPY mtg /usr/local/bin/mtg
COPY app /opt/engine/app
RUN /venv/bin/python -m compileall -q /opt/engine
HEALTHCHECK --interval=60s --timeout=10s --start-period=5s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/3129 && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && \
         read -r status <&3 && [[ $status == *' 200 '* ]]"]
USER 65534:65534
ENTRYPOINT ["/usr/local/bin/mtg"]
CMD ["run", "/config/config.toml"]
