"""A CloudEvent as an HTTP request: structured or binary, signed as Standard Webhooks says.

The signature is over `id.time.body` by HMAC-SHA256 (https://www.standardwebhooks.com), so that receivers verify it
with a library they already have. In the binary mode it does not cover the `ce-` headers: they repeat what the body
says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from urllib.parse import quote

import orjson

from sinks.webhook_events import Event

STRUCTURED, BINARY = "structured", "binary"
MODES = (STRUCTURED, BINARY)
SECRET_PREFIX = "whsec_"  # noqa: S105  # what secrets begin with
PLAIN = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"
"""What stands unescaped in a CloudEvent's header beside letters and digits: all ASCII but space, quote, percent."""


def secret_bytes(secret: str) -> bytes:
    """Read a secret: base64 after `whsec_`, any other text as it is; raises ValueError."""
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError(f"what follows {SECRET_PREFIX} is not base64: {error}") from error


def request_of(event: Event, mode: str, secret: bytes, now_seconds: int) -> tuple[dict[str, str], bytes]:
    """Write an event as headers and a body; unsigned where the secret is empty."""
    headers, body = _structured(event) if mode == STRUCTURED else _binary(event)
    name = header_value(event.id)
    headers |= {"webhook-id": name, "webhook-timestamp": str(now_seconds), "idempotency-key": name}
    if secret:
        headers["webhook-signature"] = signature(secret, name, now_seconds, body)
    return headers, body


def signature(secret: bytes, id_: str, at_seconds: int, body: bytes) -> str:
    """Sign a request."""
    signed = b".".join((id_.encode(), str(at_seconds).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def header_value(text: str) -> str:
    """Write a text as CloudEvents does in headers: printable ASCII, the rest percent-encoded."""
    return quote(text, safe=PLAIN)


def _attributes(event: Event) -> dict[str, str]:
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": event.time,
        "subject": event.subject,
        "tenant": event.tenant,
    }


def _structured(event: Event) -> tuple[dict[str, str], bytes]:
    envelope = orjson.dumps({**_attributes(event), "datacontenttype": "application/json"})
    # The data goes in as it is on the topic, not read and written again: numbers stay what they were.
    body = envelope[:-1] + b',"data":' + event.data + b"}"
    return {"content-type": "application/cloudevents+json; charset=UTF-8"}, body


def _binary(event: Event) -> tuple[dict[str, str], bytes]:
    attributes = {f"ce-{name}": header_value(value) for name, value in _attributes(event).items()}
    return {"content-type": "application/json", **attributes}, event.data
