"""TLS of the gRPC door: grpc asks for the certificates at each handshake, so that new ones need no new server."""

from __future__ import annotations

from typing import Any

import grpc

from collector.receivers.tls import Certificates, Material


def grpc_credentials(certificates: Certificates) -> Any:
    """Make credentials that follow the files of the certificates."""
    held = certificates.material()

    def renewed() -> Any:
        try:
            return _configuration(certificates.material()) if certificates.changed() else None
        except ValueError:
            return None  # a file went away between two looks: what is in use stays in use

    return grpc.dynamic_ssl_server_credentials(
        _configuration(held), renewed, require_client_authentication=bool(held.authorities)
    )


def _configuration(material: Material) -> Any:
    return grpc.ssl_server_certificate_configuration([(material.key, material.chain)], material.authorities or None)
