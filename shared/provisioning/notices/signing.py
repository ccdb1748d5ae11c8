"""Signatures of webhooks by the Standard Webhooks convention: HMAC-SHA256 over id, timestamp and body. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

_ENCODED = "whsec_"


class UnusableSecret(ValueError):
    """The secret cannot be a key; the text never holds it."""


def read_key(secret: str) -> bytes:
    """The key in a secret: `whsec_` and base64, or any other text as it is. Raises UnusableSecret."""
    if not secret.startswith(_ENCODED):
        if not secret:
            raise UnusableSecret("the secret is empty")
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(_ENCODED), validate=True)
    except (binascii.Error, ValueError):
        raise UnusableSecret("what follows whsec_ is not base64") from None
    if not key:
        raise UnusableSecret("nothing follows whsec_")
    return key


def sign(key: bytes, *, message_id: str, timestamp_s: int, body: bytes) -> Mapping[str, str]:
    """The headers that let a receiver know who sent this, when, and that nobody changed it."""
    signed = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
