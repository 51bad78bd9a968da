"""The committed dashboards: made from their sources, laid out without holes or overlaps, and leading somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from dashboard_files import FOLDER, GRAFANA, METRICS, STORE, dashboards, panels, variables
from dashboard_sources.every_dashboard import every_dashboard

BOARDS = dashboards()
WIDTH = 24
LINK = re.compile(r"/d/(tracemend-[a-z]+)\?(.*)")
COLOUR = re.compile(
    r"^(#[0-9a-f]{6}|(super-light-|light-|semi-dark-|dark-)?(green|red|orange|yellow|blue|purple)|text)$"
)


def test_the_committed_files_are_what_the_sources_make() -> None:
    assert {file.name: file.read_text() for file in FOLDER.glob("*.json")} == every_dashboard()


@pytest.mark.parametrize("name", BOARDS)
def test_panels_fill_the_grid_without_holes_or_overlaps(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, f"{panel['title']} lies on another panel"
        taken |= cells
    bottom = 1 + max(y for _, y in taken)
    assert taken == {(x, y) for x in range(WIDTH) for y in range(bottom)}


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_says_what_it_shows_and_has_a_name_and_id_of_its_own(name: str) -> None:
    shown = panels(BOARDS[name])
    assert all(len(panel["description"]) > 5 for panel in shown)
    assert len({panel["title"] for panel in shown}) == len({panel["id"] for panel in shown}) == len(shown)
    assert all(panel["targets"] and panel["datasource"]["uid"] in ("${store}", "${metrics}") for panel in shown)


@pytest.mark.parametrize("name", BOARDS)
def test_every_figure_has_a_unit_and_every_colour_exists(name: str) -> None:
    plain = [
        p["title"] for p in panels(BOARDS[name]) if p["type"] in ("stat", "timeseries", "bargauge") and not unit(p)
    ]
    assert plain == []
    assert [colour for colour in colours(BOARDS[name]) if not COLOUR.match(colour)] == []


def unit(panel: dict[str, Any]) -> str:
    return str(panel["fieldConfig"]["defaults"].get("unit", ""))


def colours(part: Any) -> Iterator[str]:
    """Find every colour that is named anywhere."""
    if isinstance(part, list):
        for one in part:
            yield from colours(one)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key in ("color", "fixedColor", "iconColor") and isinstance(value, str):
                yield value
            else:
                yield from colours(value)


@pytest.mark.parametrize("name", BOARDS)
def test_dashboards_know_each_other_and_show_the_readers_own_time(name: str) -> None:
    board = BOARDS[name]
    assert board["timezone"] == "browser"
    assert board["tags"] == ["tracemend"]
    assert [link["tags"] for link in board["links"]] == [["tracemend"]]
    assert {"tenant", "service", "agent"} <= {variable["name"] for variable in variables(board, "query")}


def test_every_link_leads_to_a_dashboard_and_to_variables_that_it_has() -> None:
    boards = {board["uid"]: board for board in BOARDS.values()}
    assert len(boards) == len(BOARDS)
    leading = [found for board in BOARDS.values() for url in urls(board) if (found := LINK.match(url))]
    assert leading
    for found in leading:
        names = {variable["name"] for variable in boards[found[1]]["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", found[2])) <= names


def urls(board: dict[str, Any]) -> Iterator[str]:
    """Find the links in the columns of tables."""
    for panel in panels(board):
        for override in panel.get("fieldConfig", {}).get("overrides", []):
            for one in override["properties"]:
                if one["id"] == "links":
                    yield from (link["url"] for link in one["value"])


def test_what_is_provisioned_is_what_dashboards_ask() -> None:
    provisioned = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "tracemend.yaml").read_text())
    sources = {source["uid"]: source["type"] for source in provisioned["datasources"]}
    for board in BOARDS.values():
        picked = {variable["current"]["value"]: variable["query"] for variable in variables(board, "datasource")}
        assert picked == sources == {"tracemend-clickhouse": STORE, "tracemend-prometheus": METRICS}


def test_no_password_stands_in_what_is_provisioned() -> None:
    provisioned = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "tracemend.yaml").read_text())
    secrets = [secret for source in provisioned["datasources"] for secret in source.get("secureJsonData", {}).values()]
    assert secrets
    assert all(secret.startswith("$") for secret in secrets)
