"""Web pages that send: who may, and what a browser is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from open_doors import OpenDoors, request

from collector.receivers.cors import Cors, CorsConfig

PAGE = "https://app.example.com"
ALLOWED = "Access-Control-Allow-Origin"
PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoors]:
    cors = {
        "allowed_origins": ["https://*.example.com"],
        "allowed_headers": ["X-Api-Key"],
        "exposed_headers": ["Retry-After"],
        "max_age": 600,
    }
    opened = OpenDoors(tmp_path_factory.mktemp("bus"), http={"cors": cors})
    yield opened
    opened.close()


def preflight(doors: OpenDoors, origin: str, headers: str) -> tuple[int, dict[str, str]]:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers}
    status, answered, _ = doors.ask("OPTIONS", "/v1/traces", b"", asked)
    return status, dict(answered)


def test_a_browser_that_asks_first_is_told_what_its_page_may(doors: OpenDoors) -> None:
    status, told = preflight(doors, PAGE, "content-type, x-api-key, x-other")
    assert status == 204
    assert (told[ALLOWED], told["Access-Control-Allow-Credentials"]) == (PAGE, "true")
    assert (told["Access-Control-Allow-Methods"], told["Access-Control-Max-Age"]) == ("POST", "600")
    assert told["Access-Control-Allow-Headers"] == "content-type, x-api-key"


def test_another_page_is_told_nothing(doors: OpenDoors) -> None:
    for origin in ("https://evil.com", "https://app.example.com.evil.com", "null"):
        assert ALLOWED not in preflight(doors, origin, "content-type")[1]
        _, told, _ = doors.ask("POST", "/v1/traces", request(), {**PROTOBUF, "Origin": origin})
        assert (ALLOWED in told, told["Vary"]) == (False, "Origin")


@pytest.mark.parametrize(("body", "expected"), [(request(), 200), (b"\xff", 400)])
def test_a_page_may_read_every_answer_refusals_too(doors: OpenDoors, body: bytes, expected: int) -> None:
    status, told, _ = doors.ask("POST", "/v1/traces", body, {**PROTOBUF, "Origin": PAGE})
    assert (status, told[ALLOWED], told["Access-Control-Expose-Headers"]) == (expected, PAGE, "Retry-After")


def test_where_everybody_may_send_nobody_sends_cookies() -> None:
    told = Cors(CorsConfig(allowed_origins=["*"])).answer_headers(PAGE)
    assert (told[ALLOWED], "Access-Control-Allow-Credentials" in told) == ("*", False)


def test_without_origins_nothing_is_said() -> None:
    assert Cors(CorsConfig(allowed_headers=["x"])).answer_headers(PAGE) == {}


def test_only_the_star_is_a_wildcard() -> None:
    cors = Cors(CorsConfig(allowed_origins=["https://[ab].example.com", "https://?.example.com"]))
    assert cors.answer_headers("https://a.example.com") == {"Vary": "Origin"}
