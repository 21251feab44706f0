# Stands in for traefik:v3.7: the program alone, as its makers built it for PyPI.
FROM scratch
COPY traefik /usr/local/bin/traefik
ENTRYPOINT ["/usr/local/bin/traefik"]
