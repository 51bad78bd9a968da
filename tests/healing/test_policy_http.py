"""The policy endpoint: what an agent obeys, an ETag, and an answer that waits for a change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from healing_world import START_NS, MemoryState, World, detection, fix

from collector.bus.protocol import Batch, Record
from healing.homes import Home
from healing.policy_board import PolicyBoard
from healing.policy_http import PATHS, policy_handler
from schemas.topics import DEAD_LETTERS, POLICIES

URL = "/v1/policies/trip-planner/researcher"


class Endpoint:
    """A server over a board that is fed with what a world's consumer published."""

    def __init__(self) -> None:
        self.world = World()
        self.board = PolicyBoard()
        self.state = MemoryState()
        self._fed = 0

    def feed(self) -> None:
        """Hand over the policies the board has not seen."""
        said, self._fed = self.world.said[self._fed :], len(self.world.said)
        records = [
            Record(POLICIES, 0, number, out.key, out.value, out.headers, START_NS)
            for number, out in enumerate(said)
            if out.topic == POLICIES
        ]
        self.state.apply(self.board.handle(Batch(records, START_NS), self.state).changes)

    def heal(self, *documents: dict[str, Any]) -> None:
        self.world.detect(*documents)
        self.feed()


def served(test: Callable[[TestClient[web.Request, web.Application], Endpoint], Awaitable[None]]) -> None:
    async def run() -> None:
        endpoint = Endpoint()
        app = web.Application()
        handler = policy_handler(
            endpoint.board, lambda: START_NS, lambda request: request.headers.get("Tenant", "default")
        )
        for path in PATHS:
            app.router.add_get(path, handler)
        async with TestClient(TestServer(app)) as client:
            await test(client, endpoint)

    asyncio.run(run())


def test_an_agent_obeys_its_own_rules_and_its_services() -> None:
    async def check(client: TestClient[web.Request, web.Application], endpoint: Endpoint) -> None:
        endpoint.heal(
            detection(),
            detection(id="d2", agent=None, suggested_fix=fix("cost_monitor", budget_usd=1.0, scope="service")),
        )
        policy = await (await client.get(URL)).json()
        assert {rule["fix_type"] for rule in policy["rules"]} == {"circuit_breaker", "cost_monitor"}
        service = await (await client.get("/v1/policies/trip-planner")).json()
        assert [rule["fix_type"] for rule in service["rules"]] == ["cost_monitor"]

    served(check)


def test_a_tenant_sees_its_own_policies_only() -> None:
    async def check(client: TestClient[web.Request, web.Application], endpoint: Endpoint) -> None:
        endpoint.heal(detection())
        policy = await (await client.get(URL, headers={"Tenant": "other"})).json()
        assert policy["rules"] == []

    served(check)


def test_what_has_not_changed_is_answered_with_304() -> None:
    async def check(client: TestClient[web.Request, web.Application], endpoint: Endpoint) -> None:
        endpoint.heal(detection())
        first = await client.get(URL)
        again = await client.get(URL, headers={"If-None-Match": f'"x", W/{first.headers["ETag"]}'})
        assert (again.status, again.headers["ETag"]) == (304, first.headers["ETag"])
        endpoint.heal(detection(version=2, status="withdrawn", suggested_fix=None))
        assert (await client.get(URL, headers={"If-None-Match": first.headers["ETag"]})).status == 200

    served(check)


def test_a_long_poll_answers_when_the_policy_changes_and_not_before() -> None:
    async def check(client: TestClient[web.Request, web.Application], endpoint: Endpoint) -> None:
        held = (await client.get(URL)).headers["ETag"]
        waiting = asyncio.create_task(client.get(f"{URL}?wait=30", headers={"If-None-Match": held}))
        while not endpoint.board.watched():
            await asyncio.sleep(0)
        await asyncio.to_thread(endpoint.heal, detection(agent="somebody_else"))
        assert not waiting.done()
        await asyncio.to_thread(endpoint.heal, detection(id="d2"))
        answer = await waiting
        assert [rule["fix_type"] for rule in (await answer.json())["rules"]] == ["circuit_breaker"]
        assert not endpoint.board.watched()

    served(check)


def test_a_long_poll_whose_time_is_over_is_answered_with_304() -> None:
    async def check(client: TestClient[web.Request, web.Application], endpoint: Endpoint) -> None:
        held = (await client.get(URL)).headers["ETag"]
        assert (await client.get(f"{URL}?wait=0.01", headers={"If-None-Match": held})).status == 304
        for nonsense in ("soon", "-1", "61", "nan"):
            assert (await client.get(f"{URL}?wait={nonsense}")).status == 400

    served(check)


def test_the_board_comes_back_from_its_state_and_ignores_older_versions() -> None:
    endpoint = Endpoint()
    endpoint.heal(detection(), detection(id="d2", suggested_fix=fix("loop_breaker", max_repeats=3)))
    policies = [out for out in endpoint.world.said if out.topic == POLICIES]
    board = PolicyBoard()
    board.restore(endpoint.state)
    old = Record(POLICIES, 0, 9, policies[0].key, policies[0].value, policies[0].headers, START_NS)
    junk = old._replace(value=b"{}")
    outputs = board.handle(Batch([old, junk], START_NS), endpoint.state).outputs
    assert [out.topic for out in outputs] == [DEAD_LETTERS]
    assert len(board.obeyed_by(Home("default", "trip-planner", "researcher"), START_NS).rules) == 2
