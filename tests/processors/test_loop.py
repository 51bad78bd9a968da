"""What is a loop and what is not, where it begins, when it is told and when it is over."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from processors.detector import At
from processors.loop import AGENTS_CAP, LoopConfig, LoopDetector, LoopState
from processors.loops.outcomes import fault_of
from processors.spending.model_catalogue import PricedModels
from schemas.canonical import canonical, content_hash, state_hash
from schemas.detection import CLOSED, OPEN, Finding
from schemas.step import AGENT, LLM, RETRIEVAL, TOOL, SpanRef, Step, ToolAnswer, ToolCall, Usage

RUN = "4bf92f3577b34da6a3ce929d0e0e4736"
MS = 1_000_000
DETECTOR = LoopDetector(LoopConfig(), PricedModels())


class Run:
    """Writes a run step by step; `told` holds each finding with the number of the step at which it came."""

    def __init__(self, agent: str = "worker") -> None:
        self.agent = agent
        self.steps: list[Step] = []
        self.now_ms = 1_790_000_000_000

    def tool(self, tool: str, args: Any = None, result: str = "", wait_ms: int = 5, **fields: Any) -> Run:
        """Call a tool; args None: not captured."""
        self.now_ms += wait_ms
        if args is not None:
            text = canonical(args).decode()
            fields |= {"args": text, "args_hash": content_hash(text.encode())}
        if result:
            fields |= {"result": result, "result_hash": content_hash(result.encode())}
        return self._add(TOOL, 200, tool=tool, **fields)

    def says(self, text: str, **fields: Any) -> Run:
        """Let the model say something."""
        return self._add(LLM, 900, output_text=text, **fields)

    def asks(self, tool: str, args: Any, answer: str = "", tokens: int = 0) -> Run:
        """Let the model ask for a tool whose span is not seen; `answer` is what the call before brought."""
        text = canonical(args).decode()
        number = len(self.steps)
        calls = (ToolCall(f"c{number}", tool, text, content_hash(text.encode())),)
        answers = (ToolAnswer(f"c{number - 1}", tool, content_hash(answer.encode()), answer),) if answer else ()
        return self._add(LLM, 900, calls=calls, answers=answers, usage=Usage(tokens, 5) if tokens else None)

    def thinks(self, tokens: int = 0) -> Run:
        """Let the model be called without its content being captured."""
        return self._add(LLM, 900, usage=Usage(tokens, 5) if tokens else None)

    def turn(self, agent: str, text: str = "", state: Any = None) -> Run:
        """Let an agent take its turn, of which only the agent's span is seen."""
        fields: dict[str, Any] = {"agent": agent, "output_text": text, "output_hash": content_hash(text.encode())}
        if state is not None:
            fields |= {"state": canonical(state).decode(), "state_hash": state_hash(state)}
        return self._add(AGENT, 500, **fields)

    def works(self, calls: int) -> Run:
        """Do ordinary work that repeats nothing."""
        for _ in range(calls):
            number = len(self.steps)
            self.says("", calls=(ToolCall("c", "read", f'{{"path":"f{number}"}}', f"{number:016x}"),))
            self.tool("read", {"path": f"src/f{number}.py"}, f"{number} lines")
        return self

    def found(self, restart: bool = False) -> list[Finding]:
        """Give the episodes as they stand at the end, in the order in which they began."""
        self.told: list[tuple[int, Finding]] = []
        state = DETECTOR.begin()
        for number, step in enumerate(self.steps):
            item = DETECTOR.project(step)
            if item is None:
                continue
            if restart:
                item = msgspec.msgpack.decode(msgspec.msgpack.encode(item), type=type(item))
                state = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=LoopState)
            at = At(step.start_ns, step.end_ns, SpanRef(step.trace_id, step.span_id), step.agent)
            self.told += [(number, finding) for finding in DETECTOR.observe(state, at, item)]
        self.told += [(len(self.steps), finding) for finding in DETECTOR.finish(state)]
        return list({(finding.fingerprint, finding.first): finding for _, finding in self.told}.values())

    def _add(self, kind: str, took_ms: int, **fields: Any) -> Run:
        start = self.now_ms * MS
        self.now_ms += took_ms
        fields.setdefault("agent", self.agent)
        span = f"{len(self.steps) + 1:016x}"
        self.steps.append(Step("t", RUN, RUN, span, kind, start, self.now_ms * MS, **fields))
        self.now_ms += 5
        return self


def only(run: Run) -> Finding:
    """Expect exactly one episode."""
    (finding,) = run.found()
    return finding


def search(run: Run, times: int, **how: Any) -> Run:
    for _ in range(times):
        run.says("", calls=(ToolCall("c", "search", '{"q":"x"}', "1"),)).tool("search", {"q": "x"}, "3 hits", **how)
    return run


# --- loops ---


def test_the_same_call_with_the_same_result_is_a_loop_from_its_third_time_on() -> None:
    run = search(Run(), 6)
    finding = only(run)
    assert run.told[0][0] == 5
    assert (finding.first.span_id, finding.spans[-1].span_id) == (f"{2:016x}", f"{6:016x}")
    assert finding.evidence["repetitions"] == 6
    assert finding.evidence["match"] == "exact"
    assert finding.title == "{agent} called search 6 times with the same arguments"
    assert finding.fix is not None
    assert finding.fix.parameters == {"tool": "search", "max_repeats": 3}


def test_two_repetitions_are_none() -> None:
    assert search(Run(), 2).found() == []


@pytest.mark.parametrize("period", range(1, 9))
def test_cycles_of_any_length_up_to_eight_are_told_at_the_end_of_the_third_round(period: int) -> None:
    run = Run().works(20)
    first = len(run.steps)
    for _ in range(5):
        for number in range(period):
            run.tool(f"tool{number}", {"n": number}, f"result {number}")
    run.works(12)
    finding = only(run)
    assert run.told[0][0] == first + 3 * period - 1
    assert finding.first.span_id == run.steps[first].span_id
    assert finding.evidence["last_span"]["span_id"] == run.steps[first + 5 * period - 1].span_id
    assert (finding.evidence["period"], finding.evidence["repetitions"]) == (period, 5)
    assert finding.status == CLOSED


def test_a_loop_in_the_middle_of_a_long_run_is_found_at_its_place() -> None:
    run = Run().works(2_000)
    first = len(run.steps)
    finding = only(search(run, 8).works(2_000))
    assert finding.first.span_id == run.steps[first + 1].span_id
    assert finding.evidence["last_span"]["span_id"] == run.steps[first + 15].span_id


def test_neither_end_moves_once_the_line_is_crossed_and_stages_are_rounds_then_doublings() -> None:
    run = search(Run(), 40)
    run.found()
    assert len({(finding.spans, finding.first) for _, finding in run.told}) == 1
    assert [finding.evidence["repetitions"] for _, finding in run.told] == [3, 4, 5, 6, 7, 8, 16, 32, 40]


def test_confidence_and_score_grow_with_repetitions() -> None:
    few, many = only(search(Run(), 3)), only(search(Run(), 30))
    assert 0.7 <= few.confidence <= 0.8 < many.confidence
    assert few.score < many.score


def test_the_loop_that_goes_on_is_open_and_the_one_that_the_run_left_is_closed() -> None:
    assert only(search(Run(), 5)).status == OPEN
    assert only(search(Run(), 5).works(2)).status == CLOSED


def test_volatile_parts_make_no_difference() -> None:
    run = Run()
    for number in range(5):
        args = {"request_id": f"k3x9{number}zq7w", "Q": ("Hotels ", "hotels", " HOTELS")[number % 3], "n": 3}
        stamp = f"2026-01-05T10:00:0{number}Z"
        run.tool("search", args, f"3 hits, took {number + 4} ms at {stamp}")
    finding = only(run)
    assert run.told[0][0] == 2
    assert (finding.evidence["match"], finding.tier) == ("near", 2)


def test_the_same_search_in_other_words_that_finds_nothing_is_a_loop() -> None:
    run = Run()
    asked = ("parking near the opera house", "opera house parking options", "where can I park by the opera house")
    for text in (*asked, "is there any parking close to the opera"):
        run.tool("web", {"q": text}, "Nothing found.")
    finding = only(run)
    assert finding.evidence["match"] == "wording"
    assert finding.confidence < 0.8


def test_two_agents_that_hand_an_item_back_and_forth_are_a_loop() -> None:
    run = Run()
    for _ in range(4):
        run.says('Please take this over: {"order": 7}', agent="sales").says("Not mine, back to you.", agent="billing")
    finding = only(run)
    assert (finding.evidence["period"], finding.evidence["speakers"]) == (2, ["sales", "billing"])
    assert run.told[0][0] == 5


def test_calls_that_show_only_in_what_the_model_says_are_actions_where_no_tool_spans_are_seen() -> None:
    run = Run()
    for number in range(6):
        run.asks("get_weather", {"city": "Paris"}, "18 degrees" if number else "")
    finding = only(run.says("It is 18 degrees.", answers=(ToolAnswer("c5", "get_weather", "", "18 degrees"),)))
    assert finding.evidence["repetitions"] == 6
    assert finding.evidence["tools"] == ["get_weather"]


def test_a_loop_is_not_told_twice_where_both_model_calls_and_tool_spans_show_it() -> None:
    run = Run()
    for _ in range(5):
        run.asks("search", {"q": "x"}, "3 hits").tool("search", {"q": "x"}, "3 hits")
    assert only(run).evidence["repetitions"] == 5


def test_agents_that_work_side_by_side_are_followed_apart() -> None:
    run = Run()
    for number in range(5):
        run.tool("search", {"q": "x"}, "3 hits", agent="one").tool("read", {"p": number}, f"{number} l", agent="two")
    assert only(run).evidence["tools"] == ["search"]


def test_four_equal_failures_are_a_loop_and_three_are_how_retries_end() -> None:
    failing: dict[str, Any] = {"error": "exit status 1", "error_type": "CommandError"}
    four, three = Run(), Run()
    for _ in range(4):
        four.tool("shell", {"cmd": "make"}, **failing)
    for _ in range(3):
        three.tool("shell", {"cmd": "make"}, **failing)
    assert only(four).evidence["failing"] is True
    assert three.tool("shell", {"cmd": "make"}, "built").found() == []


def test_agents_turns_are_actions_where_nothing_else_is_seen() -> None:
    run = Run()
    for attempt in range(4):
        run.turn("validator", "The format is wrong, trying again.", {"attempt": attempt})
    assert only(run).evidence["about"] == "talk"


# --- no loops ---


def test_the_same_call_with_changing_results_is_polling() -> None:
    run = Run()
    for left in (40, 31, 22, 9, 3):
        run.tool("check", {"job": 7}, f"{left} of 40 still failing")
    assert run.found() == []


def test_waiting_ever_longer_for_the_same_answer_is_no_loop() -> None:
    run = Run()
    for attempt in range(7):
        run.thinks().tool("status", {"job": 7}, "pending", wait_ms=500 * 2**attempt)
    assert run.tool("status", {"job": 7}, "done").found() == []


@pytest.mark.parametrize("result", ["ok", "{item}: ok"])
def test_one_call_for_each_of_many_items_is_no_loop(result: str) -> None:
    run = Run()
    for number in range(30):
        item = f"invoice-{number * 37}"
        run.tool("approve", {"by": "finance", "item": item}, result.replace("{item}", item))
    assert run.found() == []


def test_records_with_drawn_names_are_items_too() -> None:
    run = Run()
    for name in ("k3x92zq7w1", "p8m2v5t9h4", "a7c4n1b6r3", "w2j5k8d3f9"):
        run.tool("archive", {"folder": "inbox", "parcel": name}, "archived")
    assert run.found() == []


def test_paging_is_no_loop() -> None:
    run = Run()
    for page in range(12):
        run.tool("list", {"q": "open", "page": page, "page_token": f"tok{page}"}, "25 rows")
    assert run.found() == []


def test_a_form_filled_in_for_one_after_the_other_is_no_search_in_other_words() -> None:
    run = Run()
    for name in ("alice smith", "bob jones", "carol king", "dan brown", "eve lee"):
        run.tool("mail_search", {"q": f"mails from {name} about the budget"}, "no results")
    assert run.found() == []


PAGE = "<page title='Account'><nav>Home Invoices Settings</nav><main>Welcome back, three letters wait</main></page>"


def test_one_fault_whatever_is_tried_is_a_loop() -> None:
    run = Run()
    for command in ("pip install x", "pip3 install x", "python -m pip install x", "pip install --user x"):
        run.tool("bash", {"command": command}, "ERROR: No matching distribution found for x")
    (finding,) = run.found()
    assert finding.evidence["match"] == "outcome"
    assert finding.evidence["repetitions"] == 4
    assert finding.fix is not None
    assert finding.fix.fix_type == "retry_limit"
    assert finding.confidence < 0.8, "it mends nothing by itself"


def test_one_page_whatever_is_clicked_is_a_loop_and_another_page_ends_it() -> None:
    run = Run()
    for selector in ("#invoices", "a[href]", "text=Invoices", "nav >> a", "//a[2]"):
        run.tool("click", {"selector": selector}, PAGE)
    (open_one,) = run.found()
    assert open_one.status == OPEN
    run.tool("click", {"selector": "//a[3]"}, PAGE)
    run.tool("click", {"selector": "//a[4]"}, PAGE.replace("Welcome", "Bills"))
    run.tool("click", {"selector": "//a[5]"}, PAGE.replace("Welcome", "More"))
    last = run.found()[-1]
    assert (last.status, last.evidence["repetitions"]) == (CLOSED, 6)


def test_acknowledgements_and_faults_with_other_work_between_are_no_loop() -> None:
    run = Run()
    for name in ("ana", "bo", "cy", "dee", "eli", "fay"):
        run.tool("send_email", {"to": f"{name}@corp.example", "body": f"Hi {name}"}, "sent")
    for number in range(6):
        run.tool("edit", {"path": "a.py", "patch": f"+ row {number}"}, "applied")
        run.tool("run", {"path": "a.py"}, "Traceback (most recent call last): TypeError: x")
    assert run.found() == []


def test_calls_whose_content_is_unknown_end_a_row_of_equal_outcomes() -> None:
    run = Run()
    for number in range(6):
        run.tool("bash", {"command": f"make t{number}"}, "ERROR: no rule to make it")
        if number == 2:
            run.tool("other")
    assert run.found() == []


def test_one_kind_of_fault_is_one_whatever_it_names() -> None:
    run = Run()
    for path in ("notes.txt", "./notes.txt", "/home/a/notes.txt", "../notes.txt"):
        missing = f"Traceback (most recent call last):\nFileNotFoundError: [Errno 2] No such file: '{path}'"
        run.tool("read", {"path": path}, missing)
    assert [finding.evidence["match"] for finding in run.found()] == ["outcome"]
    other = Run()
    for kind in ("KeyError: 'a'", "ValueError: bad", "TypeError: x", "OSError: disk"):
        other.tool("run", {"code": kind[:3]}, f"Traceback (most recent call last):\n{kind}")
    assert other.found() == []


def test_what_models_ask_for_is_watched_as_what_tools_do_is() -> None:
    fault, nothing = "ERROR: column a does not exist", "No results found."
    tries = Run()
    for number, query in enumerate(("select a", "select t.a", "select count(a)", "select a::text", "select 1")):
        tries.asks("sql", {"query": f"{query} from t;"}, fault if number else "")
    assert [finding.evidence["match"] for finding in tries.found()] == ["outcome"]
    searches = Run()
    for number, words in enumerate(("winner of the cup 1987", "cup 1987 winner name", "who won 1987 cup", "1987 cup")):
        searches.asks("search", {"q": f"{words} in Saxony"}, nothing if number else "")
    assert [finding.evidence["match"] for finding in searches.found()] == ["wording"]
    apart = Run()
    for number, place in enumerate(("Oslo", "Rome", "Lima", "Cairo", "Perth", "Quito")):
        apart.asks("weather", {"city": place}, f"{number} degrees" if number else "")
    assert apart.found() == []


@pytest.mark.parametrize(
    ("outcome", "is_fault"),
    [
        ("ERROR: column a does not exist", True),
        ("Traceback (most recent call last):\n  File x\nKeyError: 'a'", True),
        ("3 errors were fixed last week", False),
        ("The exception proves the rule", False),
        ("x" * 500 + "\nValueError: no", True),
        ("failed: 2 of 3", True),
        ("unfailing", False),
    ],
)
def test_results_that_read_as_faults(outcome: str, is_fault: bool) -> None:
    assert bool(fault_of(outcome)) is is_fault


def test_editing_and_testing_in_turns_is_no_loop() -> None:
    run = Run()
    for number in range(6):
        run.tool("edit", {"path": "a.py", "patch": f"+ line {number}"}, "applied")
        run.tool("test", {"path": "tests"}, "1 failed: test_a")
    assert run.found() == []


def test_one_call_reported_by_two_instrumentations_counts_once() -> None:
    run = Run().tool("search", {"q": "x"}, "3 hits")
    again = [msgspec.structs.replace(run.steps[0], span_id=f"{number:016x}") for number in (2, 3, 4)]
    run.steps += [msgspec.structs.replace(step, start_ns=step.start_ns + 1) for step in again]
    assert run.found() == []


def test_retrievals_of_different_questions_are_no_loop_though_they_have_no_arguments() -> None:
    run = Run()
    for number in range(6):
        text = f"question number {number}"
        run._add(RETRIEVAL, 50, name="retrieve", input_text=text, input_hash=content_hash(text.encode()), result="[]")
    assert run.found() == []


def test_an_answer_that_fits_every_question_takes_one_more() -> None:
    run = Run()
    for question in ("Can I fly tomorrow?", "And by train?", "Or by bus?"):
        run.says("I cannot help with that.", input_text=question)
    assert run.found() == []
    assert len(run.says("I cannot help with that.", input_text="By ship?").found()) == 1


# --- without content ---


def test_without_content_five_calls_between_which_the_context_grows_evenly_are_likely_a_loop() -> None:
    run = Run()
    for number in range(5):
        run.thinks(tokens=100 + 40 * number).tool("get_weather")
    finding = only(run)
    assert run.told[0][0] == 9
    assert (finding.evidence["match"], finding.confidence) == ("names", 0.6)


def test_without_content_uneven_growth_says_that_the_calls_differ() -> None:
    run = Run()
    for tokens in (100, 180, 950, 1_020, 4_000, 4_100):
        run.thinks(tokens=tokens).tool("read_file")
    assert run.found() == []


def test_without_content_and_tokens_five_calls_are_a_guess() -> None:
    run = Run()
    for _ in range(5):
        run.tool("get_weather")
    assert only(run).confidence == 0.45


# --- what a detector owes the runtime ---


def test_the_fingerprint_is_the_same_from_wherever_the_cycle_is_entered_and_whoever_does_it() -> None:
    calls = [("a", {"n": 1}), ("b", {"n": 2}), ("c", {"n": 3})]
    prints = set()
    for start in range(3):
        run = Run(agent=f"agent{start}")
        for number in range(12):
            tool, args = calls[(start + number) % 3]
            run.tool(tool, args, "ok")
        prints.add(only(run).fingerprint)
    assert len(prints) == 1


def test_taking_the_state_out_and_back_between_any_two_steps_changes_nothing() -> None:
    run = search(Run().works(9), 7).works(9)
    for _ in range(4):
        run.says("Please take this over.", agent="a").says("No, you do it.", agent="b")
    assert run.found(restart=True) == run.found()


def test_state_stays_small_however_many_agents_and_steps() -> None:
    state = DETECTOR.begin()
    run = Run()
    for number in range(600):
        run.tool(f"tool{number % 50}", {"n": number}, f"{number}", agent=f"agent{number % 30}")
    for step in run.steps:
        item = DETECTOR.project(step)
        assert item is not None
        DETECTOR.observe(state, At(step.start_ns, step.end_ns, SpanRef(RUN, step.span_id), step.agent), item)
    assert len(state.calls) == AGENTS_CAP
    assert len(msgspec.msgpack.encode(state)) < AGENTS_CAP * 900


@pytest.mark.parametrize(
    "garbage", ["{", "[" * 4_000, '{"a":' * 600 + "1" + "}" * 600, "\ud800", "\x00" * 99, "a" * 9_000]
)
def test_garbage_in_arguments_and_results_is_survived(garbage: str) -> None:
    for times in range(4):
        step = Step("t", RUN, RUN, f"{times:016x}", TOOL, 1, 2, tool="x", args=garbage, args_hash="1", result=garbage)
        assert DETECTOR.project(step) is not None
