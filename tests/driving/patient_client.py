"""A client that sends as SDKs do: each request again and again until it hears OK, the same bytes."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Sequence
from typing import Protocol


class TakesRequests(Protocol):
    """Whatever has a door."""

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Post an OTLP body; gives the status and the answer, raises OSError when nobody answers."""


class PatientClient:
    """Sends each request again and again until it hears OK, the same bytes, as SDKs do."""

    def __init__(self, pipeline: TakesRequests, bodies: Sequence[bytes]) -> None:
        self._pipeline = pipeline
        self._bodies = bodies
        self.acknowledged = 0
        self.repeated = 0
        self._thread = threading.Thread(target=self._send_all, daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def reached(self, count: int) -> None:
        """Wait until so many requests were acknowledged."""
        while self.acknowledged < count:
            if not self._thread.is_alive():
                raise RuntimeError("the client has died")
            time.sleep(0.005)

    def _send_all(self) -> None:
        for body in self._bodies:
            while not self._is_taken(body):
                self.repeated += 1
                time.sleep(0.05)
            self.acknowledged += 1

    def _is_taken(self, body: bytes) -> bool:
        try:
            return self._pipeline.post("/v1/traces", body)[0] == 200
        except (OSError, KeyError, ValueError, http.client.HTTPException):
            return False  # nobody there, or half an answer of one that was killed
