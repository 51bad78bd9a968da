"""The settings of a pipeline: what may stand in its YAML, with the defaults and the checks beside it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

ENDPOINT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\s\[\]/]*):(\d{1,5})\Z")
DEFAULT_MEMORY_SHARE = 0.7
MIB = 1024 * 1024
EMBEDDED_PARTITIONS, KAFKA_PARTITIONS = 1, 12


def platform_data_dir() -> str:
    """Say where a user's data lives on this platform."""
    home = Path.home()
    if sys.platform == "darwin":
        return str(home / "Library" / "Application Support" / "tracemend")
    if sys.platform == "win32":
        return str(Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "tracemend")
    return str(Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "tracemend")


def default_memory_limit_mib() -> int:
    """Take 70 % of the container's memory, or of the machine's."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        text = limit.read_text().strip() if limit.exists() else ""
        if text.isdigit():
            total = min(total, int(text))
    return max(256, int(total * DEFAULT_MEMORY_SHARE) // MIB)


def check_endpoint(value: str) -> str:
    """Refuse what is no `host:port`."""
    found = ENDPOINT.match(value)
    if found is None or int(found[2]) > 65_535:
        raise ValueError(f"{value!r} is not a host:port")
    return value


def _brokers(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _data_dir(value: Any) -> Any:
    return value if value not in (None, "") else platform_data_dir()


Endpoint = Annotated[str, AfterValidator(check_endpoint)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, `name: null` means its defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class MetricsSettings(Section):
    """Where `/metrics`, `/healthz`, guard policies and the detections stream are served."""

    endpoint: Endpoint = "127.0.0.1:8888"
    allow_unauthenticated: bool = False


class TelemetrySettings(Section):
    """What the pipeline says of itself."""

    metrics: MetricsSettings = MetricsSettings()


class PipelineSettings(Section):
    """What takes part; with any pipeline present, only what pipelines list runs."""

    receivers: list[str] = []
    processors: list[str] = []
    sinks: list[str] = []


class ServiceSettings(Section):
    """The pipeline as a whole."""

    data_dir: Annotated[Path, BeforeValidator(_data_dir), AfterValidator(Path.absolute)] = Field(
        default_factory=lambda: Path(platform_data_dir())
    )
    pipelines: dict[str, PipelineSettings] = {}
    groups: dict[
        Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")], Annotated[list[str], Field(min_length=1)]
    ] = {}
    processes: Literal["auto"] | Annotated[int, Field(ge=1, le=4)] | list[str] = "auto"
    memory_limit_mib: Annotated[int, Field(ge=64)] = Field(default_factory=default_memory_limit_mib)
    run_idle_seconds: Seconds = 300
    run_abandon_seconds: Seconds = 3600
    lateness_seconds: Seconds = 60
    lateness_steps: Annotated[int, Field(ge=1, le=100_000)] = 1000
    telemetry: TelemetrySettings = TelemetrySettings()


class EmbeddedBusSettings(Section):
    """The log in the data dir."""

    fsync: bool = True
    max_bytes: Annotated[int, Field(ge=1_048_576)] = 10 * 1024**3


class KafkaTlsSettings(Section):
    """TLS to the brokers; without files the system's authorities are trusted."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


class KafkaSaslSettings(Section):
    """Who this is to the brokers."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    username: str
    password: SecretStr


class KafkaBusSettings(Section):
    """A Kafka cluster. `replication` 0: 3 where there are as many brokers.

    `instance_id` names this process among its like (static membership): a restart within the session moves no tasks.
    """

    brokers: Annotated[list[str], BeforeValidator(_brokers), Field(min_length=1)]
    tls: KafkaTlsSettings | None = None
    sasl: KafkaSaslSettings | None = None
    replication: Annotated[int, Field(ge=0, le=32)] = 0
    session_timeout_seconds: Annotated[float, Field(ge=1, le=1800, allow_inf_nan=False)] = 10
    instance_id: str = ""


class DeadLetterSettings(Section):
    """How many records a group may put aside in a minute before it stops."""

    max_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 1000


class BusSettings(Section):
    """Exactly one of embedded and kafka. `partitions` of each topic: 1 on the embedded bus and 12 on Kafka."""

    embedded: EmbeddedBusSettings | None = None
    kafka: KafkaBusSettings | None = None
    partitions: Annotated[int, Field(ge=1, le=1024)] | None = None
    repeat_window_seconds: Seconds = 600
    dead_letters: DeadLetterSettings = DeadLetterSettings()
    prefix: str = ""

    @property
    def partition_count(self) -> int:
        """Say how many partitions each topic has, or is to have."""
        return self.partitions or (EMBEDDED_PARTITIONS if self.kafka is None else KAFKA_PARTITIONS)


class HealingSettings(Section):
    """Which fixes apply by themselves, and how many detections of a tenant people are asked about an hour (0: none)."""

    enabled: bool = True
    dry_run: bool = False
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.80
    max_age_seconds: Seconds = 900
    reviews_per_hour: Annotated[int, Field(ge=0, le=10_000)] = 20


class ModelSettings(Section):
    """What the price list does not know of a model."""

    input_usd_per_mtok: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    output_usd_per_mtok: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    cache_read_usd_per_mtok: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    context_window: Annotated[int, Field(gt=0)] | None = None


class ReaderSettings(Section):
    """A user of the server's that only reads the database, as for Grafana."""

    user: Annotated[str, Field(min_length=1)]
    password: SecretStr


class ClickHouseSinkSettings(Section):
    """The store. An empty DSN is the one in the data dir, on chDB.

    Days count from the day a row is dated; what is not given is 90 days, and left as it is in tables that are there.
    """

    dsn: SecretStr = SecretStr("")
    max_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    flush_seconds: Seconds = 0.2
    check_every_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 86_400
    """How often every part of the embedded store is read and compared with its checksums; 0: never."""
    connect_timeout_seconds: Seconds = 5
    timeout_seconds: Seconds = 60
    cluster: str = ""
    hot_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    delete_after_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    cold_volume: str = ""
    storage_policy: str = ""
    reader: ReaderSettings | None = None


class WebhookSettings(Section):
    """Tells what is found, what waits for a person and what healing did to an HTTP receiver; off without a url."""

    url: SecretStr = SecretStr("")
    secret: SecretStr = SecretStr("")
    mode: Literal["structured", "binary"] = "structured"
    events: Annotated[list[Literal["detections", "approvals", "healing_outcomes"]], Field(min_length=1)] = [
        "detections",
        "approvals",
        "healing_outcomes",
    ]
    min_severity: Literal["info", "low", "medium", "high", "critical"] = "info"
    types: list[str] = []
    statuses: list[Literal["open", "closed", "withdrawn"]] = ["open", "closed", "withdrawn"]
    tenants: list[str] = []
    headers: dict[str, SecretStr] = {}
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 10
    max_in_flight: Annotated[int, Field(ge=1, le=32)] = 4
    max_age_seconds: Seconds = 86_400
    ca_file: Path | None = None

    @property
    def enabled(self) -> bool:
        """Say whether there is anybody to tell."""
        return bool(self.url.get_secret_value())


class ClickHouseHttpSettings(Section):
    """The read-only ClickHouse HTTP door of the embedded store."""

    enabled: bool = True
    endpoint: Endpoint = "127.0.0.1:8123"


@dataclass(frozen=True)
class Settings:
    """Everything, checked."""

    service: ServiceSettings
    bus: BusSettings
    healing: HealingSettings
    models: dict[str, ModelSettings]
    receivers: dict[str, Any]
    processors: dict[str, Any]
    sinks: dict[str, Any]
    extensions: dict[str, Any]
