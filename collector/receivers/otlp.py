"""The OTLP receiver: its doors, started and stopped together."""

from __future__ import annotations

from collections.abc import Mapping

from collector.receivers.api_keys import ApiKeys
from collector.receivers.intake import Intake
from collector.receivers.otlp_config import OtlpReceiverConfig
from collector.receivers.otlp_grpc import OtlpGrpc
from collector.receivers.otlp_http import OtlpHttp


class OtlpReceiver:
    """Both doors of one receiver."""

    def __init__(self, config: OtlpReceiverConfig, intake: Intake, keys: ApiKeys | None = None) -> None:
        grpc, http, known = config.protocols.grpc, config.protocols.http, keys or ApiKeys()
        self._grpc = OtlpGrpc(grpc, intake, known) if grpc is not None else None
        self._http = OtlpHttp(http, intake, known) if http is not None else None

    async def start(self) -> None:
        """Open the doors; raises OSError or RuntimeError where an address is taken."""
        if self._http is not None:
            await self._http.start()
        if self._grpc is not None:
            await self._grpc.start()

    async def stop(self, grace_seconds: float) -> None:
        """Close the doors; requests under way are answered."""
        if self._grpc is not None:
            await self._grpc.stop(grace_seconds)
        if self._http is not None:
            await self._http.stop(grace_seconds)

    def doors(self) -> Mapping[str, str]:
        """Say where the doors are."""
        doors: dict[str, str] = {}
        if self._grpc is not None:
            doors["otlp grpc"] = self._grpc.address
        if self._http is not None:
            doors["otlp http"] = self._http.address
        return doors
