"""What an admin needs beside the password. It is declared, so that nothing that is lost with panel.db opens a door."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.config.part import Part
from app.config.values import Moment, Name, Text, now


class Passkey(Part):
    """A key that a device, or a password manager, holds for this panel. host: the name of the panel that it is for.
    credential: its id and public key (WebAuthn's attested credential data), in base64url; neither is a secret."""

    name: Annotated[Text, Field(max_length=64)] = Field(default="", description="rule.passkey.name")
    host: Text = Field(description="rule.host")
    credential: Text = Field(pattern=r"^[A-Za-z0-9_-]{60,4000}$", repr=False, description="rule.passkey.credential")
    created_at: Moment = Field(default_factory=now, description="rule.time")


class SecondFactors(Part):
    """Of the admin of this name; a record that is there is asked for, whatever it lacks. totp_secret: in base32.
    recovery_codes: hashes of those that are left.
    passkeys: instead of a code, if they are there; so somebody without the device still gets in."""

    username: Name = Field(description="rule.name")
    totp_secret: Text = Field(default="", pattern=r"^([A-Z2-7]{32})?$", repr=False, description="rule.totp_secret")
    recovery_codes: list[Text] = Field(default_factory=list, repr=False, description="rule.recovery_codes")
    passkeys: list[Passkey] = Field(default_factory=list, description="rule.passkeys")
