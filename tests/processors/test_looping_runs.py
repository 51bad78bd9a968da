"""Whole runs of an agent that goes round in circles, and of one that only looks like it; with and without tool spans.

Written by hand, as models behave. Half of the loops were missed at first, most of them without tool spans; that is why
`loops/outcomes.py` is there, and why what models ask for is watched as what tools do.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from test_loop import Run


class Call(NamedTuple):
    """What a model asks a tool for, and what comes back."""

    tool: str
    args: dict[str, Any]
    result: str


CUP = (
    "1987 Saxony youth chess cup winner",
    "winner of the Saxony youth chess cup 1987",
    "Saxony junior chess championship 1987 result",
    "youth chess Saxony 1987 champion",
    "chess cup Saxony youth 1987 who won",
    "who won the youth chess cup of Saxony 1987",
)
FEDERATION = '[{"title": "Chess in Saxony", "snippet": "The federation was founded in 1946 and organises youth cups."}]'
PAGE = "<page title='Account'><nav>Home Invoices Settings</nav><main>Welcome back, three letters wait</main></page>"
NO_COLUMN = 'ERROR: column "signup_date" does not exist'
QUERIES = (
    "SELECT count(*) FROM customers WHERE signup_date >= '2024-05-01'",
    "SELECT COUNT(*) FROM customers WHERE signup_date BETWEEN '2024-05-01' AND '2024-05-31'",
    "SELECT count(1) FROM customers WHERE date_trunc('month', signup_date) = '2024-05-01'",
    "SELECT count(id) FROM customers WHERE extract(month from signup_date) = 5",
    "SELECT count(*) AS n FROM customers WHERE signup_date::text LIKE '2024-05%'",
    "SELECT sum(1) FROM customers WHERE signup_date > '2024-04-30'",
)
PATHS = ("notes.txt", "./notes.txt", "/notes.txt", "~/notes.txt", "../notes.txt", "/home/a/notes.txt")
INSTALLS = ("pip install x", "pip3 install x", "python -m pip install x", "pip install --user x", "pip install x -q")

LOOPS = {
    "nothing is found in other words": [Call("web_search", {"query": query}, "No results found.") for query in CUP],
    "the same is found in other words": [Call("web_search", {"query": query}, FEDERATION) for query in CUP],
    "the same is asked": [Call("get_weather", {"city": "Oslo"}, '{"temp": 4, "sky": "rain"}')] * 6,
    "a file is guessed": [
        Call("read_file", {"path": path}, f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'")
        for path in PATHS
    ],
    "a package is not there": [
        Call("bash", {"command": command}, "ERROR: No matching distribution found for x") for command in INSTALLS
    ],
    "a column is not there": [Call("sql", {"query": query}, NO_COLUMN) for query in QUERIES],
    "a page stays": [
        Call("click", {"selector": selector}, PAGE)
        for selector in ("#bills", "a[href]", "text=Bills", "nav >> a", "//a[2]", "//a[3]")
    ],
    "search and open in turns": [
        Call("search", {"q": "Acme CEO"}, "1. https://acme.example/team"),
        Call("open", {"url": "https://acme.example/team"}, "Error 403: forbidden"),
    ]
    * 4,
}

CITIES = {"Oslo": 717_710, "Madrid": 3_332_035, "Rome": 2_748_109, "Vienna": 2_005_760, "Dublin": 592_713, "Bern": 1}
TICKETS = ("printer jam", "vpn down", "password reset", "new laptop", "mail quota", "badge lost")
FILES = {
    "src/config.py": "PORT = 8080",
    "src/server.py": "def serve(app): app.run()",
    "src/client.py": "TIMEOUT = 30",
    "tests/test_client.py": "def test_timeout(): ...",
    "README.md": "# service",
}
STUDIES = {
    "bee decline causes": "Pesticides, mites and habitat loss are named.",
    "neonicotinoids effect on bees": "Sublethal doses impair navigation.",
    "varroa mite bee mortality": "Varroa spreads deformed wing virus.",
    "bee habitat loss flowers": "Meadows shrank by 97 percent.",
    "bee decline countermeasures": "Flower strips and less spraying help.",
}

WORK = {
    "cities one by one": [
        Call("web_search", {"query": f"population of {city} 2024"}, json.dumps({"city": city, "population": count}))
        for city, count in CITIES.items()
    ],
    "page by page": [
        Call("list_tickets", {"page": page}, json.dumps({"page": page, "items": [{"title": title}]}))
        for page, title in enumerate(TICKETS, 1)
    ],
    "waiting for a job that gets on": [
        Call("job_status", {"id": "j-77"}, json.dumps({"state": "running", "progress": share}))
        for share in (5, 22, 41, 63, 80, 97)
    ],
    "file by file": [Call("read_file", {"path": path}, text) for path, text in FILES.items()],
    "tests that get better": [
        call
        for number, name in enumerate(("parser", "lexer", "dump", "io", "clock"))
        for call in (
            Call("edit_file", {"path": f"{name}.py", "new": f"guard {name}"}, "ok"),
            Call("run_tests", {}, f"{4 - number} failed, {20 + number} passed"),
        )
    ],
    "a letter to each": [
        Call("send_email", {"to": f"{name}@corp.example", "body": f"Hi {name}, lunch on Friday at noon?"}, "sent")
        for name in ("ana", "bo", "cy", "dee", "eli", "fay")
    ],
    "one question after the other": [Call("web_search", {"query": query}, text) for query, text in STUDIES.items()],
    "found at the third try": [
        Call("web_search", {"query": "X200 dryer manual"}, "No results found."),
        Call("web_search", {"query": "X200 tumble dryer user guide pdf"}, "No results found."),
        Call("web_search", {"query": "BrandCo dryers documentation"}, '[{"url": "https://brandco.example/x200.pdf"}]'),
        Call("open", {"url": "https://brandco.example/x200.pdf"}, "X200 manual, 24 pages"),
    ],
}


def with_tool_spans(calls: list[Call]) -> Run:
    run = Run()
    for call in calls:
        run.tool(call.tool, call.args, call.result, wait_ms=900)
    return run


def with_model_spans_only(calls: list[Call]) -> Run:
    """Show a call's result in what the model is told next."""
    run, told = Run(), ""
    for call in calls:
        run.asks(call.tool, call.args, told)
        told = call.result
    return run


@pytest.mark.parametrize("seen_by", [with_tool_spans, with_model_spans_only])
@pytest.mark.parametrize("name", LOOPS)
def test_an_agent_that_goes_round_in_circles_is_found(name: str, seen_by: Any) -> None:
    assert [finding.type for finding in seen_by(LOOPS[name]).found()] == ["loop"]


@pytest.mark.parametrize("seen_by", [with_tool_spans, with_model_spans_only])
@pytest.mark.parametrize("name", WORK)
def test_work_that_looks_like_it_is_left_alone(name: str, seen_by: Any) -> None:
    assert seen_by(WORK[name]).found() == []
