"""The whole conformance table."""

from __future__ import annotations

from conformance_grpc import ROWS as GRPC_ROWS
from conformance_http import ROWS as HTTP_ROWS
from conformance_row import Row
from conformance_transport import ROWS as TRANSPORT_ROWS

ROWS: list[Row] = [*HTTP_ROWS, *GRPC_ROWS, *TRANSPORT_ROWS]
