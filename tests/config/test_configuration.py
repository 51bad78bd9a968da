"""The configuration: the Collector's dialect, every mistake at once with its place, and defaults that hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.components import detector_names, registry
from collector.exposure import exposed_doors
from config.expansion import ExpansionError, expand
from config.problems import ConfigError
from config.settings import Settings, platform_data_dir
from config.sources import BUILT_IN, default_text, gather
from config.validation import validate
from config.yaml_dialect import parse

EXAMPLES = sorted((Path(__file__).parents[2] / "config" / "examples").glob("*.yaml"))


def settings(*set_: str, config: list[Path] | None = None, **environment: str) -> Settings:
    return validate(gather(config or [], set_, environment), registry())


def problems(*set_: str, config: list[Path] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        settings(*set_, config=config)
    return [str(problem) for problem in refused.value.problems]


def test_nothing_at_all_gives_the_defaults_of_the_contract() -> None:
    made = settings()
    otlp = made.receivers["otlp"].protocols
    assert (otlp.grpc.endpoint, otlp.http.endpoint) == ("127.0.0.1:4317", "127.0.0.1:4318")
    assert made.service.telemetry.metrics.endpoint == "127.0.0.1:8888"
    assert made.extensions["clickhouse_http"].endpoint == "127.0.0.1:8123"
    service = made.service
    assert (service.run_idle_seconds, service.run_abandon_seconds) == (300, 3600)
    assert (service.lateness_seconds, service.lateness_steps) == (60, 1000)
    healing = made.healing
    assert (healing.enabled, healing.dry_run, healing.min_confidence, healing.max_age_seconds) == (
        True,
        False,
        0.8,
        900,
    )
    assert made.bus.embedded is not None
    assert (made.bus.embedded.fsync, made.bus.embedded.max_bytes) == (True, 10 * 1024**3)
    assert str(service.data_dir) == platform_data_dir()


def test_a_data_dir_is_taken_from_where_one_stands() -> None:
    assert settings("service::data_dir=here").service.data_dir == Path.cwd() / "here"


def test_every_detector_there_is_runs_by_default() -> None:
    assert sorted(settings().processors) == sorted(
        [*detector_names(), "embedding_similarity", "llm_judge", "run_tracker"]
    )


def test_the_built_in_file_says_what_the_models_default_to() -> None:
    document = parse(BUILT_IN, default_text(), {})
    assert document.problems == []
    for section, models in registry().items():
        for name in document.value[section]:
            assert getattr(settings(), section)[name] == models[name]()


def test_five_mistakes_are_named_all_at_once_with_file_line_path_and_the_nearest_name(tmp_path: Path) -> None:
    file = tmp_path / "team.yaml"
    file.write_text(
        "receivers:\n"
        "  otlp:\n"
        "    protocols:\n"
        "      htttp:\n"
        "processors:\n"
        "  lop:\n"
        "  loop:\n"
        "  loop:\n"
        "healing:\n"
        "  min_confidence: high\n"
        "service:\n"
        "  pipelines:\n"
        "    agents:\n"
        "      processors: [loop, costs]\n"
    )
    found = problems(config=[file])
    assert len(found) == 5
    assert found[0] == f"{file}:4: receivers::otlp::protocols::htttp: unknown key 'htttp'; did you mean 'http'?"
    assert found[1] == f"{file}:6: processors::lop: unknown type 'lop'; did you mean 'loop'?"
    assert found[2] == f"{file}:8: processors::loop: duplicate key, already given on line 7"
    assert found[3].startswith(f"{file}:10: healing::min_confidence: ")
    assert found[4].startswith(f"{file}:14: service::pipelines::agents::processors::1: 'costs' is not configured")
    assert found[4].endswith("did you mean 'cost'?")


def test_what_the_collector_calls_exporters_is_called_sinks_here() -> None:
    (found,) = problems("exporters::otlp={}")
    assert found.endswith("exporters: unknown section; called sinks here")


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("service::data_dri=x", "did you mean 'data_dir'?"),
        ("receivers::otlp::protocols::grpc::endpoint=nowhere", "is not a host:port"),
        ("receivers::otlp::protocols::grpc::endpoint=127.0.0.1:99999", "is not a host:port"),
        ("bus={embedded: {}, kafka: {brokers: a:9092}}", "give exactly one of embedded and kafka"),
        ("bus::kafka::session_timeout_seconds=10", "field required"),
        ("processors::loop/=", "the part after / must not be empty"),
        ("nonsense", "must be of the form a::b=VALUE"),
        ("processors::cost::budgets::run_usd=-1", "greater than 0"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_to_do(setting: str, part: str) -> None:
    assert any(part in problem for problem in problems(setting))


def test_who_names_kafka_has_no_embedded_bus_and_twelve_partitions(tmp_path: Path) -> None:
    made = settings("bus::kafka::brokers=a:9092, b:9092")
    assert made.bus.embedded is None
    assert made.bus.kafka is not None
    assert made.bus.kafka.brokers == ["a:9092", "b:9092"]
    assert made.bus.partition_count == 12
    file = tmp_path / "kafka.yaml"
    file.write_text("bus:\n  kafka: {brokers: [a:9092], sasl: {username: u, password: hunter2}}\n")
    made = settings("bus::partitions=3", config=[file])
    assert made.bus.embedded is None
    assert made.bus.kafka is not None
    assert made.bus.kafka.sasl is not None
    assert "hunter2" not in repr(made)
    assert made.bus.partition_count == 3
    assert settings().bus.partition_count == 1


def test_files_merge_left_to_right_and_settings_come_last(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("healing: {dry_run: true, min_confidence: 0.5}\n")
    two.write_text("healing: {min_confidence: 0.6}\n")
    made = settings("healing::max_age_seconds=5", config=[one, two])
    assert (made.healing.dry_run, made.healing.min_confidence, made.healing.max_age_seconds) == (True, 0.6, 5)


def test_a_protocol_that_a_file_leaves_out_is_off(tmp_path: Path) -> None:
    file = tmp_path / "http.yaml"
    file.write_text("receivers:\n  otlp:\n    protocols:\n      http:\n")
    protocols = settings(config=[file]).receivers["otlp"].protocols
    assert protocols.grpc is None
    assert protocols.http.endpoint == "127.0.0.1:4318"


def test_a_detector_can_be_turned_off_and_others_stay_on() -> None:
    made = settings("processors::loop::enabled=false")
    assert made.processors["loop"].enabled is False
    assert made.processors["cost"].enabled is True


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_every_example_is_valid(example: Path) -> None:
    settings(config=[example])


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${env:A}", "1"),
        ("${A}", "1"),
        ("${env:NONE:-x}", "x"),
        ("${env:NONE:-${env:A}}", "1"),
        ("a$$b", "a$b"),
        ("$A stays", "$A stays"),
        ("${env:NONE}", ""),
        ("$${env:A}", "${env:A}"),
    ],
)
def test_references_expand_as_in_the_collector(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}) == expanded


@pytest.mark.parametrize("text", ["${env:A", "${file:/etc/passwd}", "${env:1x}", "${env:X:-" * 40 + "}" * 40])
def test_a_reference_that_cannot_be_expanded_says_why(text: str) -> None:
    with pytest.raises(ExpansionError):
        expand(text, {})


@given(st.text(max_size=200))
def test_any_text_expands_or_is_refused(text: str) -> None:
    try:
        expand(text, {"A": "1"})
    except ExpansionError:
        return


@given(st.text(max_size=300))
def test_any_text_parses_or_is_refused_with_a_place(text: str) -> None:
    document = parse("any.yaml", text, {})
    assert all(problem.place.source == "any.yaml" for problem in document.problems)


@pytest.mark.parametrize("scalar", ["!!bool maybe", "!!int ''", "!!float x", "!!python/none x", "!"])
def test_a_scalar_that_is_not_what_its_tag_says_is_refused_with_its_line(scalar: str) -> None:
    document = parse("tags.yaml", f"a: 1\nb: {scalar}\n", {})
    assert document.value["b"] in (None, "")
    assert all(problem.place.line == 2 for problem in document.problems)


def test_a_date_that_is_none_stays_a_text() -> None:
    assert parse("dates.yaml", "a: 2024-99-99\n", {}).value == {"a": "2024-99-99"}


def test_aliases_are_refused_for_what_a_few_lines_of_them_can_do() -> None:
    document = parse("bomb.yaml", "a: &a [x, x]\nb: [*a, *a]\n", {})
    assert "aliases are not supported" in str(document.problems[0])


def test_numbers_from_the_environment_are_numbers() -> None:
    assert settings("healing::min_confidence=${env:C}", C="0.7").healing.min_confidence == 0.7


EXPOSED = "receivers::otlp::protocols::http::endpoint=0.0.0.0:4318"
A_KEY = 'extensions::api_keys::keys=[{tenant: acme, key: "${env:ACME_KEY}"}]'


def checked(*set_: str, **environment: str) -> Settings:
    return validate(gather([], set_, environment), registry(), exposed_doors)


@pytest.mark.parametrize(
    ("door", "endpoint"),
    [
        ("receivers::otlp::protocols::grpc", "0.0.0.0:4317"),
        ("receivers::otlp::protocols::http", ":4318"),
        ("receivers::otlp::protocols::http", "[::]:4318"),
        ("receivers::otlp::protocols::http", "collector.example:4318"),
        ("service::telemetry::metrics", "192.0.2.1:8888"),
    ],
)
def test_a_door_to_the_network_needs_keys_or_a_plain_word(door: str, endpoint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        checked(f"{door}::endpoint='{endpoint}'")
    (problem,) = refused.value.problems
    assert "::".join(problem.path) == f"{door}::endpoint"
    assert f"{door}::allow_unauthenticated" in problem.message
    checked(f"{door}::endpoint='{endpoint}'", f"{door}::allow_unauthenticated=true")
    checked(f"{door}::endpoint='{endpoint}'", A_KEY, ACME_KEY="a key of twenty characters".replace(" ", "-"))


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "127.1.2.3:0", "[::1]:4318", "localhost:4318"])
def test_a_door_to_this_machine_is_open(endpoint: str) -> None:
    checked(f"receivers::otlp::protocols::http::endpoint='{endpoint}'")


def test_a_key_from_the_environment_is_in_no_settings_afterwards() -> None:
    made = checked(A_KEY, ACME_KEY="a-key-of-twenty-characters")
    assert "a-key-of-twenty-characters" not in repr(made)


@pytest.mark.parametrize("mistake", ["tenantt: x", "hash: x", "tenant: []"])
def test_a_mistake_beside_a_key_does_not_tell_the_key(tmp_path: Path, mistake: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(f"extensions: {{api_keys: {{keys: [{{key: a-key-of-twenty-characters, {mistake}}}]}}}}\n")
    assert "a-key-of-twenty-characters" not in "".join(problems(config=[file]))


@pytest.mark.parametrize(
    ("written", "seconds"), [("30s", 30), ("1m30s", 90), ("300ms", 0.3), ("1h", 3600), ("45", 45), ("1.5s", 1.5)]
)
def test_durations_are_read_under_the_collectors_names(written: str, seconds: float) -> None:
    grpc = "receivers::otlp::protocols::grpc"
    made = settings(f"{grpc}::read_timeout={written}", f"{grpc}::keepalive::server_parameters::time={written}")
    door = made.receivers["otlp"].protocols.grpc
    assert (door.read_timeout_seconds, door.keepalive.server_parameters.time_seconds) == (seconds, seconds)


@pytest.mark.parametrize(
    ("setting", "part"),
    [
        ("read_timeout=soon", "is no duration"),
        ("read_timeout=-1s", "is no duration"),
        ("tls={}", "tls needs cert_file and key_file"),
        ("tls={cert_file: /nowhere/cert.pem}", "provide both certificate and key, or neither"),
        ("tls={cert_file: /nowhere/cert.pem, key_file: /nowhere/key.pem}", "failed to load TLS"),
        ("transport=unix", "needs a path"),
        ("socket_permissions=rw", "pattern"),
    ],
)
def test_a_door_that_cannot_work_is_refused_with_what_to_do(setting: str, part: str) -> None:
    assert any(part in problem for problem in problems(f"receivers::otlp::protocols::http::{setting}"))


def test_a_key_that_is_not_in_the_environment_is_named_as_what_is_wrong() -> None:
    with pytest.raises(ConfigError, match="environment variable"):
        checked(EXPOSED, A_KEY)
