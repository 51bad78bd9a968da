"""From the settings of a webhook to a sink, and what may be wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from config.problems import Path
from config.settings import Settings, WebhookSettings
from sinks.webhook_request import secret_bytes

if TYPE_CHECKING:
    from sinks.webhook import WebhookSink

KIND = "webhook"
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
OURS = frozenset({"content-type", "content-length", "transfer-encoding", "host", "user-agent", "idempotency-key"})


def is_webhook(name: str) -> bool:
    """Say whether a sink of this name is one."""
    return name.split("/", 1)[0] == KIND


def make_webhook(name: str, settings: WebhookSettings) -> Callable[[], WebhookSink]:
    """Give what makes the sink, one for each task; all of them share one circuit."""
    from sinks.webhook import Receiver, WebhookSink
    from sinks.webhook_circuit import ReceiverCircuit
    from sinks.webhook_events import Wanted

    receiver = Receiver(
        url=settings.url.get_secret_value(),
        secret=secret_bytes(settings.secret.get_secret_value()),
        mode=settings.mode,
        headers={key: value.get_secret_value() for key, value in settings.headers.items()},
        timeout_seconds=settings.timeout_seconds,
        max_in_flight=settings.max_in_flight,
        max_age_seconds=settings.max_age_seconds,
        ca_file=settings.ca_file,
    )
    wanted = Wanted(
        topics=tuple(settings.events),
        min_severity=settings.min_severity,
        types=frozenset(settings.types),
        statuses=frozenset(settings.statuses),
        tenants=frozenset(settings.tenants),
    )
    circuit = ReceiverCircuit()
    return lambda: WebhookSink(name, receiver, wanted, circuit)


def webhook_problems(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Find what is wrong with webhooks; nothing that may be secret is said again."""
    for name, sink in settings.sinks.items():
        if not is_webhook(name):
            continue
        at = ("sinks", name)
        yield from (((*at, "url"), text) for text in _url_problems(sink.url.get_secret_value()))
        try:
            secret_bytes(sink.secret.get_secret_value())
        except ValueError as error:
            yield (*at, "secret"), str(error)
        for key, value in sink.headers.items():
            text = _header_problem(key, value.get_secret_value())
            if text:
                yield (*at, "headers", key), text
        if sink.ca_file is not None and not sink.ca_file.is_file():
            yield (*at, "ca_file"), f"there is no file {sink.ca_file}"


def _url_problems(url: str) -> Iterator[str]:
    if not url:
        return
    try:
        split = urlsplit(url)
        _ = split.port
    except ValueError as error:
        yield f"is not a URL: {error}"
        return
    if split.scheme not in ("http", "https") or not split.hostname:
        yield "must be a URL as in https://hooks.example.com/tracemend"
    elif split.username or split.password:
        yield "must not have a user or password in it; give an Authorization header under headers"


def _header_problem(key: str, value: str) -> str:
    if not HEADER.match(key):
        return "is not the name of a header"
    if key.lower() in OURS or key.lower().startswith(("ce-", "webhook-")):
        return "is set by the sink itself"
    return "holds a line break or another control character" if not value.isprintable() else ""
