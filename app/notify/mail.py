"""E-mail by SMTP, with STARTTLS, TLS or neither, and a login if there is one."""

from __future__ import annotations

import socket
from contextlib import suppress
from email.message import EmailMessage
from types import SimpleNamespace

from app.config.channels import Channel
from app.notify.http import failed
from app.notify.line import Line, trusting
from app.notify.message import Message, SendFailed

#: Seconds for each wait for the server, for all of it, and for its goodbye; bytes that it may say.
PATIENCE, WHOLE, GOODBYE, LARGEST = 20.0, 120.0, 5.0, 1 << 20


class Mail:
    """To all recipients of a channel at once."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def send(self, message: Message) -> None:
        """See Sender. Of several recipients, one that is accepted is enough: who is refused is refused again."""
        import smtplib

        to, where = self._channel, f"{self._channel.host}:{self._channel.port}"
        try:
            with Line(where, WHOLE, PATIENCE) as line:
                _give(line, to, message)
        except smtplib.SMTPAuthenticationError:
            raise SendFailed("notify.login", host=where) from None
        except smtplib.SMTPNotSupportedError:
            raise SendFailed("notify.not_supported", host=where, security=to.security) from None
        except smtplib.SMTPRecipientsRefused:
            raise SendFailed("notify.recipients", host=where, names=list(to.recipients)) from None
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else ""
            raise SendFailed("notify.answered", host=where, status=error.smtp_code,
                             reason=" ".join(said.split())[:200].replace(to.secret or "\0", "…")) from None
        except (smtplib.SMTPException, OSError) as error:
            raise failed(error, where) from None
        except ValueError:
            # A name or password that SMTP has no way to say, such as one in other letters than ASCII.
            raise SendFailed("notify.unsendable", host=where) from None


def _give(line: Line, to: Channel, message: Message) -> None:
    import smtplib

    class Server(smtplib.SMTP):
        """Over a line, and with an end to what it may say."""

        left = LARGEST

        def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
            end = line.connect(host, port)
            return line.encrypt(end, host) if to.security == "tls" else end

        def getreply(self) -> tuple[int, bytes]:
            if self.file is None and self.sock is not None:
                self.file = self.sock.makefile("rb")
                read = self.file.readline

                def readline(size: int = -1) -> bytes:
                    found: bytes = read(size)
                    self.left -= len(found)
                    if self.left < 0:
                        raise SendFailed("notify.endless", host=f"{to.host}:{to.port}")
                    return found

                self.file = SimpleNamespace(readline=readline, close=self.file.close)
            return super().getreply()

    sender = to.sender or to.recipients[0]
    # Ours is named by hand: looking up the name of this machine may take long where no DNS answers.
    server = Server(to.host, to.port, sender.rpartition("@")[2], timeout=PATIENCE)
    try:
        if to.security == "starttls":
            server.starttls(context=trusting())
        if to.username:
            server.login(to.username, to.secret)
        server.send_message(_letter(to, sender, message), sender, to.recipients)
        # It has arrived. Whatever is said now, or not, is no reason to send it again.
        line.at_most(GOODBYE)
        with suppress(smtplib.SMTPException, SendFailed, OSError):
            server.quit()
    finally:
        server.close()


def _letter(to: Channel, sender: str, message: Message) -> EmailMessage:
    from email.utils import formatdate, make_msgid

    letter = EmailMessage()
    letter["Subject"] = " ".join(message.title.split())
    letter["From"] = sender
    letter["To"] = ", ".join(to.recipients)
    letter["Date"] = formatdate(localtime=True)
    letter["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text.encode("utf-8", "replace").decode() + "\n")
    return letter
