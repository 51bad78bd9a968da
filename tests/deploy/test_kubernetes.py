"""The Kubernetes manifests: built by kustomize, checked against the API's schemas and against the program."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate
import pytest
import yaml
from demo_data import DemoPipeline
from program_commands import CONFIG, DEPLOY, MOUNTED, asked_of_the_environment, complaint, not_played, roles_of
from tools import built_by_go

OVERLAYS = ("scaled-by-lag", "scaled-by-cpu")
WORKLOADS = ("Deployment", "StatefulSet", "Job")
COMPONENT = "app.kubernetes.io/component"
CRD = yaml.safe_load((Path(__file__).parent / "vendored" / "keda-scaledobject.yaml").read_text())
SECRET = {"clickhouse-dsn", "clickhouse-reader-password", "api-key"}

pytestmark = pytest.mark.timeout(600)  # the first one builds kustomize
Manifest = dict[str, Any]


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return list(built(request.param))


@cache
def built(overlay: str) -> tuple[Manifest, ...]:
    """Build an overlay as `kubectl apply -k` does."""
    done = subprocess.run(
        [built_by_go("kustomize"), "build", str(DEPLOY / "kubernetes" / overlay)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def container(workload: Manifest) -> Manifest:
    (only,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(only)


def test_every_manifest_is_what_the_api_takes(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        if manifest["apiVersion"].startswith("keda.sh/"):
            jsonschema.validate(manifest, CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        else:
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
        assert manifest["metadata"].get("namespace", "tracemend") == "tracemend"


def test_the_schema_of_keda_is_the_version_that_is_used() -> None:
    (version,) = CRD["spec"]["versions"]
    used = {m["apiVersion"] for m in built("scaled-by-lag") if m["kind"] == "ScaledObject"}
    assert used == {f"{CRD['spec']['group']}/{version['name']}"}


def test_what_is_started_the_program_takes_and_every_role_is_played(manifests: list[Manifest]) -> None:
    started = [container(workload)["args"] for workload in of(manifests, *WORKLOADS)]
    assert [said for said in map(complaint, started) if said] == []
    assert not_played(args for args in started if args[0] == "run") == set()
    assert all(args[args.index("--config") + 1] == MOUNTED for args in started)


def test_the_configuration_is_the_one_under_compose_too(manifests: list[Manifest]) -> None:
    (config,) = [m for m in of(manifests, "ConfigMap") if "tracemend.yaml" in m["data"]]
    assert config["data"]["tracemend.yaml"] == CONFIG.read_text()


def test_containers_get_the_variables_that_the_configuration_asks_for(manifests: list[Manifest]) -> None:
    needed, read = asked_of_the_environment()
    for workload in of(manifests, *WORKLOADS):
        given = {variable["name"]: variable for variable in container(workload)["env"]}
        assert needed <= set(given) <= needed | read
        named = [v["valueFrom"]["secretKeyRef"] for v in given.values() if "secretKeyRef" in v.get("valueFrom", {})]
        assert {one["key"] for one in named if not one.get("optional")} == SECRET
        assert {one["name"] for one in named} == {"tracemend"}


def test_a_name_that_outlives_a_restart_is_given_to_those_who_have_one(manifests: list[Manifest]) -> None:
    for workload in of(manifests, "Deployment", "StatefulSet"):
        names = {variable["name"] for variable in container(workload)["env"]}
        assert ("TRACEMEND_INSTANCE_ID" in names) == (workload["kind"] == "StatefulSet")


def test_every_reference_leads_somewhere(manifests: list[Manifest]) -> None:
    maps = {m["metadata"]["name"]: set(m["data"]) for m in of(manifests, "ConfigMap")}
    accounts = {m["metadata"]["name"] for m in of(manifests, "ServiceAccount")}
    services = {m["metadata"]["name"] for m in of(manifests, "Service")}
    for workload in of(manifests, *WORKLOADS):
        pod = workload["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] in accounts
        assert workload["spec"].get("serviceName", "policies") in services
        assert {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v} <= set(maps)
        for variable in container(workload)["env"]:
            reference = variable.get("valueFrom", {}).get("configMapKeyRef")
            assert reference is None or reference["key"] in maps[reference["name"]]


def test_containers_may_do_nothing_but_their_work(manifests: list[Manifest]) -> None:
    for workload in of(manifests, *WORKLOADS):
        pod, only = workload["spec"]["template"]["spec"], container(workload)
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory"} <= set(only["resources"]["requests"])
        assert only["resources"]["limits"]["memory"]


def test_a_role_is_ready_when_all_of_it_runs_and_is_not_killed_for_a_broker_that_is_away(
    manifests: list[Manifest],
) -> None:
    for workload in of(manifests, "Deployment", "StatefulSet"):
        only = container(workload)
        healthy = {"path": "/healthz", "port": "metrics"}
        assert only["readinessProbe"]["httpGet"] == only["startupProbe"]["httpGet"] == healthy
        assert only["livenessProbe"]["tcpSocket"] == {"port": "metrics"}
        ports = {port["name"]: port["containerPort"] for port in only["ports"]}
        endpoint = yaml.safe_load(CONFIG.read_text())["service"]["telemetry"]["metrics"]["endpoint"]
        assert endpoint.endswith(f":{ports['metrics']}")


def test_every_role_has_a_disruption_budget_of_its_own(manifests: list[Manifest]) -> None:
    budgets = [m["spec"]["selector"]["matchLabels"][COMPONENT] for m in of(manifests, "PodDisruptionBudget")]
    assert sorted(budgets) == sorted(components(of(manifests, "Deployment", "StatefulSet")))


def components(workloads: list[Manifest]) -> Iterator[str]:
    for workload in workloads:
        yield str(workload["spec"]["template"]["metadata"]["labels"][COMPONENT])


def test_what_is_scaled_is_scaled_once_and_to_no_more_than_there_are_partitions(manifests: list[Manifest]) -> None:
    partitions = yaml.safe_load(CONFIG.read_text())["bus"]["partitions"]
    scaled: list[tuple[str, str]] = []
    for manifest in of(manifests, "ScaledObject", "HorizontalPodAutoscaler"):
        target = manifest["spec"]["scaleTargetRef"]
        scaled.append((target["kind"], target["name"]))
        if target["name"] != "receivers":
            most = "maxReplicaCount" if manifest["kind"] == "ScaledObject" else "maxReplicas"
            assert manifest["spec"][most] == partitions
    there = {(m["kind"], m["metadata"]["name"]): m for m in of(manifests, "Deployment", "StatefulSet")}
    assert sorted(scaled) == sorted(set(there) - {("Deployment", "healing")})
    assert all("replicas" not in there[one]["spec"] for one in scaled)


def test_lag_is_that_of_groups_and_topics_that_the_program_has(demo: DemoPipeline) -> None:
    text = demo.pipeline.get("metrics", "/metrics")[1].decode()
    there = [line.split("}")[0] for line in text.splitlines() if line.startswith("tracemend_stage_lag_records{")]
    for scaled in [m for m in built("scaled-by-lag") if m["kind"] == "ScaledObject"]:
        for trigger in scaled["spec"]["triggers"]:
            asked = trigger["metadata"]
            read = f'tracemend_stage_lag_records{{stage="{asked["consumerGroup"]}",topic="{asked["topic"]}"'
            assert read in there
            assert asked["bootstrapServersFromEnv"] == "KAFKA_BROKERS"
        (role,) = roles_of(container(named(scaled["metadata"]["name"]))["args"])
        assert {trigger["metadata"]["consumerGroup"] for trigger in scaled["spec"]["triggers"]} == {role}


def named(workload: str) -> Manifest:
    """Give the workload that a ScaledObject of the same name scales."""
    (found,) = [m for m in built("scaled-by-lag") if m["metadata"]["name"] == workload and m["kind"] in WORKLOADS]
    return found


def test_network_policies_are_about_pods_there_are_and_close_what_they_do_not_open(manifests: list[Manifest]) -> None:
    policies = {m["metadata"]["name"]: m["spec"] for m in of(manifests, "NetworkPolicy")}
    labels = [workload["spec"]["template"]["metadata"]["labels"] for workload in of(manifests, *WORKLOADS)]
    for policy in policies.values():
        wanted = policy["podSelector"]["matchLabels"].items()
        assert any(wanted <= pod.items() for pod in labels)
    closed = policies["nothing-else"]
    assert closed["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in closed
    assert "egress" not in closed
    assert all(closed["podSelector"]["matchLabels"].items() <= pod.items() for pod in labels)
