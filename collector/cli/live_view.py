"""The live view of `tracemend up` on a terminal: rates, lag, and the newest detections."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

from prometheus_client import Metric
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

NEWEST = 12
SEVERITY_STYLE = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}
RATES = (
    ("spans in", "otelcol_receiver_accepted_spans"),
    ("steps", "tracemend_normaliser_steps"),
    ("spans stored", "otelcol_exporter_sent_spans"),
    ("detections", "tracemend_detections"),
    ("dead letters", "tracemend_dead_letters"),
)


class LiveView:
    """Draws once a second what the metrics say. Hand it detections as they come."""

    def __init__(self, console: Console, doors: Mapping[str, str], collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect
        self._console = console
        self._doors = doors
        self._newest: deque[Mapping[str, Any]] = deque(maxlen=NEWEST)
        self._before: dict[str, float] = {}
        self._at = time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def detection(self, document: Mapping[str, Any]) -> None:
        """Show a detection; a later version takes the place of an earlier one."""
        kept = [known for known in self._newest if known["id"] != document["id"]]
        self._newest.clear()
        self._newest.extend([*kept, document])

    def draw(self) -> None:
        """Draw what is known now."""
        self._live.update(Group(self._doors_line(), self._rates(), self._detections()))

    def _doors_line(self) -> Text:
        doors = "   ".join(f"{name} {address}" for name, address in self._doors.items())
        return Text(f"tracemend   {doors}   (Ctrl-C stops)", style="bold")

    def _rates(self) -> Table:
        metrics = list(self._collect())
        now = time.monotonic()
        passed, self._at = max(now - self._at, 1e-6), now
        table = Table(box=None, pad_edge=False)
        for title in ("", "total", "per second"):
            table.add_column(title, justify="left" if not title else "right")
        for title, name in RATES:
            total = _total(metrics, name)
            rate = (total - self._before.get(name, total)) / passed
            self._before[name] = total
            table.add_row(title, f"{total:,.0f}", f"{rate:,.1f}")
        table.add_row("lag (records)", f"{_total(metrics, 'tracemend_stage_lag_records'):,.0f}", "")
        return table

    def _detections(self) -> Table:
        table = Table(title="newest detections", title_justify="left", box=None, pad_edge=False, expand=True)
        for title in ("type", "severity", "conf", "status", "what"):
            table.add_column(title, no_wrap=True, overflow="ellipsis", ratio=1 if title == "what" else None)
        for document in reversed(self._newest):
            severity = str(document["severity"])
            table.add_row(
                Text(str(document["type"])),
                Text(severity, style=SEVERITY_STYLE.get(severity, "")),
                f"{document['confidence']:.2f}",
                Text(str(document["status"])),
                Text(str(document["title"])),
            )
        return table


def _total(metrics: Iterable[Metric], name: str) -> float:
    return sum(sample.value for metric in metrics for sample in metric.samples if sample.name == name)
