"""The compose files: merged by docker-compose itself, checked against the specification and against the program."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator  # type: ignore[import-untyped]
from program_commands import CONFIG, DEPLOY, MOUNTED, asked_of_the_environment, complaint, not_played, problems
from tools import installed

THREE_BROKERS, TLS = "compose.three-brokers.yaml", "compose.tls.yaml"
OVERRIDES = [(), (THREE_BROKERS,), (TLS,), (THREE_BROKERS, TLS)]
GIVEN = {
    "TRACEMEND_API_KEY": "a-key-that-only-this-test-knows",
    "CLICKHOUSE_PASSWORD": "password-of-a-test",
    "CLICKHOUSE_READER_PASSWORD": "another",
    "GRAFANA_ADMIN_PASSWORD": "a-third",
    "TLS_CERTIFICATE": "/certificate.pem",
    "TLS_KEY": "/key.pem",
}
SPECIFICATION = Draft7Validator(json.loads((Path(__file__).parent / "vendored" / "compose-spec.json").read_text()))
IMAGE = "tracemend:0.1.0"
LOOPBACK = "127.0.0.1"

Service = dict[str, Any]


@pytest.fixture(params=OVERRIDES, ids=lambda files: "+".join(files) or "alone")
def services(request: pytest.FixtureRequest) -> dict[str, Service]:
    return dict(merged(request.param)["services"])


@cache
def merged(overrides: tuple[str, ...]) -> dict[str, Any]:
    """Merge files as docker-compose does; the test fails with what it says against them."""
    done = asked(overrides, GIVEN)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def asked(overrides: tuple[str, ...], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    files = [part for name in ("compose.yaml", *overrides) for part in ("-f", str(DEPLOY / name))]
    command = [installed("docker-compose"), "--env-file", "/dev/null", *files, "--profile", "demo", "config"]
    return subprocess.run(
        [*command, "--format", "json"], capture_output=True, text=True, check=False, env=environment, timeout=60
    )


def ours(services: dict[str, Service]) -> dict[str, Service]:
    return {name: service for name, service in services.items() if service["image"] == IMAGE}


def running(services: dict[str, Service]) -> dict[str, Service]:
    """Give the services that are roles."""
    return {name: service for name, service in ours(services).items() if (service["command"] or [""])[0] == "run"}


@pytest.mark.parametrize("overrides", OVERRIDES, ids=lambda files: "+".join(files) or "alone")
def test_merged_files_are_what_the_compose_specification_allows(overrides: tuple[str, ...]) -> None:
    SPECIFICATION.validate(merged(overrides))


@pytest.mark.parametrize("file", ["compose.yaml", THREE_BROKERS, TLS])
def test_each_file_by_itself_is_what_the_specification_allows(file: str) -> None:
    SPECIFICATION.validate(yaml.load((DEPLOY / file).read_text(), _WithTags))  # noqa: S506  # a safe loader's child


class _WithTags(yaml.SafeLoader):
    """YAML with the specification's own tags, which say how to merge and not what."""


def _sequence(loader: yaml.SafeLoader, node: yaml.SequenceNode) -> list[Any]:
    return list(loader.construct_sequence(node))


_WithTags.add_constructor("!reset", _sequence)
_WithTags.add_constructor("!override", _sequence)


@pytest.mark.parametrize("secret", sorted(GIVEN))
def test_without_a_secret_nothing_starts_and_it_says_which_is_missing(secret: str) -> None:
    done = asked((TLS,), {name: value for name, value in GIVEN.items() if name != secret})
    assert done.returncode != 0
    assert secret in done.stderr


def test_no_secret_stands_in_a_file() -> None:
    lines = [line for line in (DEPLOY / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    assert {line.partition("=")[0] for line in lines} == {name for name in GIVEN if not name.startswith("TLS_")}
    assert all(line.endswith("=") for line in lines)


def test_what_is_started_the_program_takes_and_every_role_is_played(services: dict[str, Service]) -> None:
    commands = [service["command"] for service in ours(services).values() if service["command"]]
    assert [said for said in map(complaint, commands) if said] == []
    assert not_played(service["command"] for service in running(services).values()) == set()


def test_the_configuration_is_mounted_where_it_is_read_and_is_right(services: dict[str, Service]) -> None:
    needed, read = asked_of_the_environment()
    for service in ours(services).values():
        if not service["command"]:
            continue
        mounts = {mount["target"]: mount["source"] for mount in service["volumes"]}
        assert service["command"][service["command"].index("--config") + 1] == MOUNTED
        assert Path(mounts[MOUNTED]) == CONFIG
        assert needed <= set(service["environment"]) <= needed | read
        assert problems(service["environment"]) == ""


def test_our_containers_may_do_nothing_but_their_work(services: dict[str, Service]) -> None:
    for service in ours(services).values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {place.split(":")[0] for place in service["tmpfs"]} == {"/tmp", "/var/lib/tracemend"}  # noqa: S108


def test_roles_wait_for_topics_and_the_sink_for_its_store(services: dict[str, Service]) -> None:
    for service in running(services).values():
        assert service["depends_on"]["topics"]["condition"] == "service_completed_successfully"
    assert services["sinks"]["depends_on"]["clickhouse"]["condition"] == "service_healthy"
    brokers = [name for name in services if name.startswith("kafka")]
    assert {name for name in brokers if services["topics"]["depends_on"].get(name)} == set(brokers)


def test_without_the_proxy_only_this_machine_gets_in() -> None:
    assert {host for _, host, _ in published(merged(())["services"])} == {LOOPBACK}


def test_with_the_proxy_others_get_in_through_it_alone() -> None:
    doors = list(published(merged((TLS,))["services"]))
    assert {name for name, host, _ in doors if host != LOOPBACK} == {"proxy"}
    assert {port for name, _, port in doors if name != "proxy"} == set()


def published(services: dict[str, Service]) -> Iterator[tuple[str, str, str]]:
    """Give what is reached from outside: service, address, port."""
    for name, service in services.items():
        for port in service.get("ports", []):
            yield name, port.get("host_ip", "0.0.0.0"), port["published"]  # noqa: S104  # what leaving it out means


def test_three_brokers_know_each_other_and_one_of_them_may_die() -> None:
    services = merged((THREE_BROKERS,))["services"]
    brokers = {name: service["environment"] for name, service in services.items() if name.startswith("kafka")}
    assert len({broker["KAFKA_NODE_ID"] for broker in brokers.values()}) == len(brokers) == 3
    voters = ",".join(f"{broker['KAFKA_NODE_ID']}@{name}:9093" for name, broker in brokers.items())
    for name, broker in brokers.items():
        assert broker["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters
        assert broker["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{name}:9092"
        assert int(broker["KAFKA_MIN_INSYNC_REPLICAS"]) < int(broker["KAFKA_DEFAULT_REPLICATION_FACTOR"]) == 3
        assert int(broker["KAFKA_TRANSACTION_STATE_LOG_MIN_ISR"]) < 3
    volumes = [volume["source"] for name in brokers for volume in services[name]["volumes"]]
    assert len(set(volumes)) == 3
    for service in [*running(services).values(), services["topics"]]:
        assert service["environment"]["KAFKA_BROKERS"].split(",") == [f"{name}:9092" for name in brokers]


def test_prometheus_finds_every_role(services: dict[str, Service]) -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    assert set(job["dns_sd_configs"][0]["names"]) == set(running(services))


def test_grafana_has_all_that_is_provisioned(services: dict[str, Service]) -> None:
    grafana = services["grafana"]
    provisioned = DEPLOY / "grafana" / "provisioning"
    text = "".join(file.read_text() for file in provisioned.rglob("*.yaml"))
    asked_for = {name.partition("}")[0] for name in text.split("${")[1:]}
    assert asked_for <= set(grafana["environment"])
    mounts = {mount["target"]: mount["source"] for mount in grafana["volumes"]}
    (provider,) = yaml.safe_load((provisioned / "dashboards" / "tracemend.yaml").read_text())["providers"]
    assert Path(mounts[provider["options"]["path"]]) == DEPLOY / "grafana" / "dashboards"
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (DEPLOY / "grafana" / "dashboards" / home.name).exists()
    reader = yaml.safe_load(CONFIG.read_text())["sinks"]["clickhouse"]["reader"]["user"]
    assert grafana["environment"]["CLICKHOUSE_READER_USER"] == reader


def test_every_image_is_of_a_version(services: dict[str, Service]) -> None:
    images = {service["image"] for service in services.values()}
    assert [image for image in images if ":" not in image or "latest" in image] == []
