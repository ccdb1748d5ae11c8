"""Signatures as any library for Standard Webhooks checks them."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.provisioning.notices.signing import UnusableSecret, read_key, sign


@given(
    key=st.binary(min_size=1), message_id=st.text("abc_0123", min_size=1), at=st.integers(0, 2**33), body=st.binary()
)
def test_a_receiver_that_knows_the_key_finds_the_same_signature(
    key: bytes, message_id: str, at: int, body: bytes
) -> None:
    headers = sign(key, message_id=message_id, timestamp_s=at, body=body)

    wanted = hmac.digest(key, f"{message_id}.{at}.".encode() + body, hashlib.sha256)
    assert headers == {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(wanted).decode()}",
    }


def test_the_example_of_the_convention() -> None:
    key = read_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'

    headers = sign(key, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp_s=1614265330, body=body)

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_encoded_or_plain() -> None:
    assert read_key("whsec_" + base64.b64encode(b"\x00\xffkey").decode()) == b"\x00\xffkey"
    assert read_key("open sesame") == b"open sesame"


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_n0t base64!", "whsec_abc"])
def test_an_unusable_secret_is_refused_without_repeating_it(secret: str) -> None:
    with pytest.raises(UnusableSecret) as refused:
        read_key(secret)

    assert "n0t" not in str(refused.value)
    assert "abc" not in str(refused.value)
