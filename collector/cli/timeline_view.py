"""A diagnosis on a terminal, or in a pipe: what went wrong first, then the steps, one line each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from collector.cli.live_view import SEVERITY_STYLE
from collector.cli.output import printable
from collector.cli.timeline import SHOWN_CHARACTERS, Row, agents_of, is_agent, rows_of
from schemas.run_summary import FAILURES, RUNNING
from schemas.step import HANDOFF, LLM, TOOL, Step, called
from schemas.timestamps import unix_ns

PIPE_WIDTH = 140
FAULT, LOOK_FIRST, TIMES = "▶", "▷", "\u00d7"
GLYPHS = {LLM: "●", TOOL: "◆", HANDOFF: "→"}
AGENT_GLYPH, OTHER_GLYPH, FAILED_GLYPH = "▾", "·", "✗"
COLOURS = ("cyan", "magenta", "yellow", "blue", "green", "bright_cyan", "bright_magenta", "bright_yellow")
LEAST_USD = 0.0001
NARROW = 100
"""Characters below which tokens and times give way to what was said."""


def print_diagnosis(document: Mapping[str, Any], steps: Sequence[Step], ended: bool) -> None:
    """Print a diagnosis with its steps; in the width of the terminal, and without colours in a pipe."""
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
    console.print(Group(*_parts(document, steps, ended, console.width)))


def _parts(document: Mapping[str, Any], steps: Sequence[Step], ended: bool, width: int) -> list[RenderableType]:
    numbers = {found["id"]: number for number, found in enumerate(document["detections"], start=1)}
    rows = rows_of(steps, _pins(document["detections"], numbers), next(iter(document["span_ids"]), ""))
    mark = FAULT if document["blames"] else LOOK_FIRST
    parts: list[RenderableType] = [_headline(document), _figures(document), Text()]
    if not ended:
        parts.append(Text("It goes on: what follows is as of now.", "italic"))
    elif max((step.end_ns for step in steps), default=0) > unix_ns(document["ended"]):
        parts.append(Text("It has gone on since this was told: steps below are newer.", "italic"))
    parts += [Text(printable(document["explanation"])), Text()]
    if document["detections"]:
        parts += [_found(document["detections"], numbers), Text()]
    return [*parts, _steps(rows, min((step.start_ns for step in steps), default=0), width, mark)]


def _pins(found: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]) -> dict[str, list[int]]:
    """Say at which spans detections begin and end."""
    pins: dict[str, list[int]] = {}
    for one in found:
        spans = [span["span_id"] for span in one["spans"]]
        for span in dict.fromkeys([*spans[:1], *spans[-1:]]):
            pins.setdefault(span, []).append(numbers[one["id"]])
    return pins


def _headline(document: Mapping[str, Any]) -> Text:
    outcome = str(document["outcome"])
    style = "red" if outcome in FAILURES else "yellow" if document["blames"] or outcome == RUNNING else "green"
    where = [str(document[name]) for name in ("service", "framework") if document[name]]
    line = Text.assemble(
        (outcome.replace("_", " "), f"bold {style}"), "  run ", (printable(str(document["run_id"])), "bold")
    )
    return line.append(printable(f"  {' · '.join(where)}"), "dim") if where else line


def _figures(document: Mapping[str, Any]) -> Text:
    used = document["figures"]
    tokens = used["input_tokens"] + used["output_tokens"]
    told = [
        _many(used["steps"], "step"),
        _many(used["llm_calls"], "model call"),
        _many(used["tool_calls"], "tool call"),
        f"{tokens:,} tokens" if tokens else "",
        _dollars(used["cost_usd"]),
        _many(len(used["agents"]), "agent"),
        _many(used["errors"], "failed step") if used["errors"] else "",
    ]
    return Text(", ".join(part for part in told if part), "dim")


def _found(found: Sequence[Mapping[str, Any]], numbers: Mapping[str, int]) -> Table:
    table = _table()
    table.add_column("", no_wrap=True)
    for title in ("found, causes first", "severity", "conf"):
        table.add_column(title, no_wrap=True)
    table.add_column("what happened", overflow="fold", ratio=1)
    for one in found:
        because = numbers.get(one["because"] or "")
        kind = printable(f"{'  └ ' if because else ''}{one['type']}{f' of [{because}]' if because else ''}")
        severity = str(one["severity"])
        table.add_row(
            f"\\[{numbers[one['id']]}]",
            Text(kind, "bold"),
            Text(severity, SEVERITY_STYLE.get(severity, "")),
            f"{one['confidence']:.2f}",
            Text(printable(str(one["title"]))),
        )
    return table


def _steps(rows: Sequence[Row], began_ns: int, width: int, mark: str) -> Table:
    """Lay the steps out; `mark` stands at the one at fault."""
    table = _table()
    wide = width >= NARROW
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(agents_of(rows))}
    table.add_column("", no_wrap=True)
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("agent", no_wrap=True, max_width=22, overflow="ellipsis")
    table.add_column("step", no_wrap=True, max_width=min(44, width * 2 // 5), overflow="ellipsis")
    if wide:
        table.add_column("took", justify="right", no_wrap=True)
        table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("what came of it", no_wrap=True, overflow="ellipsis", ratio=1)
    before = None
    for row in rows:
        agent = row.step.agent
        cells: list[RenderableType] = [
            Text(mark if row.at_fault else "", "bold red" if mark == FAULT else "yellow"),
            Text(_seconds(row.step.start_ns - began_ns), "dim"),
            Text(printable(agent) if agent != before else "", colours.get(agent, "")),
            _step(row, colours.get(agent, "")),
        ]
        if wide:
            took = row.until_ns - row.step.start_ns
            cells += [Text(_seconds(took), "dim"), Text(f"{row.tokens:,}" if row.tokens else "", "dim")]
        table.add_row(*cells, _came_of_it(row), style="on grey15" if row.at_fault else "")
        before = agent
    return table


def _step(row: Row, colour: str) -> Text:
    step = row.step
    indent = "  " * row.depth
    if row.elided:
        return Text(f"{indent}⋮ {_many(row.folded, 'step')}", "dim")
    glyph = FAILED_GLYPH if step.failed else AGENT_GLYPH if is_agent(step) else GLYPHS.get(step.kind, OTHER_GLYPH)
    name = printable(called(step))
    text = Text(f"{indent}{glyph} {step.kind} ", "red" if step.failed else colour)
    text.append("" if name == step.kind else name, "bold" if row.matters else "")
    return text.append(f" {TIMES}{row.folded}", "bold") if row.folded > 1 else text


def _came_of_it(row: Row) -> Text:
    """Say what a step brought: its detections, its failure, what it said or asked for."""
    text = Text(style="")
    for pin in row.pins:
        text.append(f"[{pin}] ", "bold yellow")
    step = row.step
    if row.elided:
        return text
    if row.period > 1:
        text.append(f"({row.folded} rounds of these {row.period} steps) ", "dim")
    if step.failed:
        return text.append(_line(step.error or step.error_type), "red")
    return text.append(_line(_brought(step)))


def _brought(step: Step) -> str:
    if step.kind == LLM or not step.result:
        asked = ", ".join(f"{call.name}({call.args})" for call in step.calls)
        return " ".join(part for part in (step.output_text, f"→ {asked}" if asked else "") if part) or step.args
    return f"{step.args} → {step.result}" if step.args else step.result


def _line(text: str) -> str:
    return " ".join(printable(text[:SHOWN_CHARACTERS]).split())


def _seconds(ns: int) -> str:
    seconds = max(0, ns) / 1e9
    if seconds < 100:
        return f"{seconds:.2f}s" if seconds < 10 else f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest:02}s" if minutes < 100 else f"{minutes // 60}h{minutes % 60:02}m"


def _dollars(usd: float) -> str:
    if not usd:
        return ""
    return f"${usd:.4f}" if usd >= LEAST_USD else f"under ${LEAST_USD}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}" if count else ""


def _table() -> Table:
    return Table(box=None, pad_edge=False, expand=True, header_style="dim")
