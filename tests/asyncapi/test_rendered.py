"""The AsyncAPI document in `deploy/` is the one that the pipeline there has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

RENDERED = Path(__file__).parents[2] / "deploy" / "asyncapi.yaml"
OPTIONS = ("asyncapi", "--set", "bus::kafka::brokers=kafka:9092")


def test_the_document_in_deploy_is_what_the_command_prints() -> None:
    command = [sys.executable, "-m", "collector.cli.main", *OPTIONS]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    again = f"tracemend {' '.join(OPTIONS)} > deploy/asyncapi.yaml"
    assert yaml.safe_load(RENDERED.read_text("utf-8")) == yaml.safe_load(printed), f"write it again: {again}"
