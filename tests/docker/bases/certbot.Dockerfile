# Stands in for certbot/certbot of the same version (docker-compose.yml): Debian's own can't ask for addresses.
ARG BASE
FROM ${BASE}
ARG CERTBOT
# Debian's pebble (2.4) repeats an address as the certificate's common name, which Let's Encrypt does not, and which
# certbot then takes for a host name.
RUN python3 -m venv /opt/certbot \
 && /opt/certbot/bin/python -m pip install --quiet --no-cache-dir --disable-pip-version-check "${CERTBOT}" \
 && sed -i 's/\[DNSName(d) for d in dns_names\], /[DNSName(d) for d in dns_names if d not in map(str, ip_addresses)], /' \
        /opt/certbot/lib/python3*/site-packages/certbot/_internal/san.py \
 && grep -q 'not in map(str, ip_addresses)' /opt/certbot/lib/python3*/site-packages/certbot/_internal/san.py \
 && ln -s /opt/certbot/bin/certbot /usr/local/bin/certbot
