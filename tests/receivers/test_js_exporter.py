"""The JavaScript SDK's exporters through the HTTP door, where Node and the npm registry are at hand."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from open_doors import OpenDoors
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SOURCES = Path(__file__).parent / "js"
INSTALL_SECONDS = 90


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("npm is not on this machine")
    folder = tmp_path_factory.mktemp("js")
    for name in ("package.json", "package-lock.json", "client.mjs"):
        shutil.copy(SOURCES / name, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--silent"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm ci took more than {INSTALL_SECONDS} s")
    if done.returncode:
        pytest.skip(f"npm ci failed: {done.stderr[-300:]}")
    return folder


@pytest.mark.timeout(150)
@pytest.mark.parametrize("encoding", ["json", "proto"])
def test_the_js_sdk_exports_through_it(own_doors: OpenDoors, client: Path, encoding: str) -> None:
    url = f"http://{own_doors.http}/v1/traces"
    subprocess.run(["node", "client.mjs", encoding, url], cwd=client, timeout=60, check=True)
    (record,) = own_doors.stored()
    span = ExportTraceServiceRequest.FromString(record.value).resource_spans[0].scope_spans[0].spans[0]
    assert span.name == "invoke_agent live"
    assert {one.key: one.value for one in span.attributes}["gen_ai.usage.input_tokens"].int_value == 2**53 - 1
