"""certbot's words, as certbot 2.1 said them to pebble or to Let's Encrypt, turned into ours."""

from __future__ import annotations

import pytest

from app.certificates.certbot import CertificateFailure, NotAsked, failure

NAMES = ("example.com", "a.example.com", "b.example.com", "c.example.com", "d.example.com", "xa.example.com")
END = ("Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile "
       "/var/log/letsencrypt/letsencrypt.log or re-run Certbot with -v for more details.\n")
HINT = "Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.\n"


def unchecked(*problems: tuple[str, str, str]) -> str:
    """What certbot prints when names could not be checked."""
    listed = "".join(f"  Domain: {domain}\n  Type:   {kind}\n  Detail: {detail}\n\n"
                     for domain, kind, detail in problems)
    return ("Saving debug log to /var/log/letsencrypt/letsencrypt.log\nRequesting a certificate for example.com\n\n"
            "Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported "
            f"these problems:\n{listed}{HINT}\nSome challenges have failed.\n{END}")


def unexpected(said: str) -> str:
    return f"Saving debug log to /var/log/letsencrypt/letsencrypt.log\nAn unexpected error occurred:\n{said}\n{END}"


@pytest.mark.parametrize(("printed", "sentence", "refused"), [
    (unchecked(("a.example.com", "connection", ("203.0.113.7: Fetching http://a.example.com/.well-known/acme-challenge/"
                "kDU0JS0agz8qQZt3e_m6ROgBmkN7uPNdIBWugF5cFkM: Timeout during connect (likely firewall problem)"))),
     ("Let's Encrypt could not check a.example.com: 203.0.113.7: Fetching http://a.example.com/.well-known/"
      "acme-challenge/…: Timeout during connect (likely firewall problem) (port 80 of this server must be open to the "
      "internet, at every address that the A and AAAA records name)"), {"a.example.com"}),
    (unchecked(("b.example.com", "dns", "DNS problem: NXDOMAIN looking up A for b.example.com"),
               ("c.example.com", "dns", "no valid A records found for c.example.com"),
               ("a.example.com", "unauthorized", "Invalid response from http://a.example.com/x: 404")),
     ("Let's Encrypt could not check b.example.com: DNS problem: NXDOMAIN looking up A for b.example.com; "
      "c.example.com: no valid A records found for c.example.com (A and AAAA records must lead to this server); "
      "a.example.com: Invalid response from http://a.example.com/x: 404 (the A and AAAA records must lead to this "
      "server, and its port 80 to this nginx)"), {"a.example.com", "b.example.com", "c.example.com"}),
    (unchecked(*((f"n{n}.example.com", "dns", "NXDOMAIN") for n in range(5))),
     ("Let's Encrypt could not check n0.example.com: NXDOMAIN; n1.example.com: NXDOMAIN; n2.example.com: NXDOMAIN; "
      "and 2 more like that (A and AAAA records must lead to this server)"), {f"n{n}.example.com" for n in range(5)}),
    (unexpected('Error creating new order :: too many certificates (50) already issued for "example.com" in the last '
                "168h0m0s, retry after 2026-11-22 10:00:00 UTC"),
     ('Let\'s Encrypt refuses: Error creating new order :: too many certificates (50) already issued for "example.com" '
      "in the last 168h0m0s, retry after 2026-11-22 10:00:00 UTC (wait: the panel asks again by "
      "itself)"),
     set()),
    (unexpected('Error creating new order :: Cannot issue for "a.example.com": The ACME server refuses to issue a '
                "certificate for this domain name, because it is forbidden by policy"),
     ('Let\'s Encrypt refuses: Error creating new order :: Cannot issue for "a.example.com": The ACME server refuses '
      "to issue a certificate for this domain name, because it is forbidden by policy"), {"a.example.com"}),
    (unexpected("Certification Authority Authorization (CAA) records forbid the CA from issuing a certificate :: Error "
                "finalizing order :: While processing CAA for b.example.com: CAA record for b.example.com prevents "
                "issuance"),
     ("Let's Encrypt refuses: Certification Authority Authorization (CAA) records forbid the CA from issuing a "
      "certificate :: Error finalizing order :: While processing CAA for b.example.com: CAA record for b.example.com "
      "prevents issuance (the domain's CAA record does not allow this authority)"), {"b.example.com"}),
    (unexpected("requests.exceptions.ConnectionError: HTTPSConnectionPool(host='acme.example', port=443): Max retries "
                "exceeded with url: /dir (Caused by NewConnectionError('<urllib3.connection.HTTPSConnection object at "
                "0x7fd5f4aa8c90>: Failed to establish a new connection: [Errno -2] Name or service not known'))"),
     "the certificate authority Let's Encrypt can't be reached from this server: its name has no address in the DNS",
     set()),
    (unexpected("ValueError: Requesting 10.99.7.1/dir: Connection refused"),
     "the certificate authority Let's Encrypt can't be reached from this server: nothing listens there", set()),
    (unexpected("requests.exceptions.SSLError: HTTPSConnectionPool(host='10.99.7.1', port=49449): Max retries exceeded "
                "with url: /dir (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] "
                "certificate verify failed: self-signed certificate (_ssl.c:992)')))"),
     ("the certificate authority Let's Encrypt can't be reached from this server: its own certificate is not trusted "
      "here"), set()),
    (unexpected("AttributeError: can't set attribute"), "certbot failed: AttributeError: can't set attribute", set()),
    ("Saving debug log to /var/log/letsencrypt/letsencrypt.log\n", "certbot failed: it does not say why", set()),
    ("", "certbot failed: it does not say why", set()),
])
def test_a_failure_is_told_in_a_sentence_with_the_names_and_what_to_do(printed: str, sentence: str,
                                                                       refused: set[str]) -> None:
    told = failure(printed, NAMES)
    assert (str(told), told.refused) == (sentence, refused)
    assert type(told) is CertificateFailure


def test_another_authority_is_called_by_its_address() -> None:
    told = failure(unchecked(("a.example.com", "caa", "no")), NAMES, "https://acme.example/dir")
    assert str(told).startswith("https://acme.example/dir could not check a.example.com: no (the domain's CAA record")


def test_certbot_5_calls_names_identifiers_and_an_address_has_no_records() -> None:
    printed = unchecked(("203.0.113.7", "connection", "203.0.113.7: Timeout during connect (likely firewall problem)"))
    told = failure(printed.replace("Domain:", "Identifier:"), ("203.0.113.7",))
    assert (str(told), told.refused) == (
        ("Let's Encrypt could not check 203.0.113.7: 203.0.113.7: Timeout during connect (likely firewall problem) "
         "(port 80 of that address must be open to the internet, and lead to this nginx)"), {"203.0.113.7"})


@pytest.mark.parametrize("printed", [
    "usage: \n  certbot [SUBCOMMAND] [options]\ncertbot: error: unrecognized arguments: --ip-address 203.0.113.7",
    "The webroot plugin is not working. Certbot does not currently support IP addresses with it."])
def test_a_certbot_that_knows_no_addresses_is_told_and_costs_no_pause(printed: str) -> None:
    told = failure(printed, ("203.0.113.7",))
    assert isinstance(told, NotAsked) and "5.4 or newer" in str(told) and "CERTBOT_IMAGE" in str(told)


def test_a_certbot_that_is_busy_was_not_asked() -> None:
    assert isinstance(failure("Another instance of Certbot is already running.\n" + END, NAMES), NotAsked)
