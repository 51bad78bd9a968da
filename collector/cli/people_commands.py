"""The commands by which people judge detections and set thresholds."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli.command import Config, DataDir, Format, Set, guarded, leave

Tenant = Annotated[str, typer.Option(help="Whose.")]
Detector = Annotated[str, typer.Argument(help="A detection's type, as in loop.")]
Framework = Annotated[str, typer.Option(help="Only for one framework, as in langgraph; empty: all without their own.")]

feedback_app = typer.Typer(rich_markup_mode=None)
thresholds_app = typer.Typer(
    help="From which confidence on findings are told: show, set or unset it while everything runs.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@feedback_app.command(name="feedback")
def feedback(
    what: Annotated[str, typer.Argument(help="A detection's id (its beginning is enough), or: stats, or: recommend.")],
    correct: Annotated[bool, typer.Option("--correct", help="What it says is so.")] = False,
    wrong: Annotated[bool, typer.Option("--wrong", help="It is a false alarm.")] = False,
    note: Annotated[str, typer.Option(help="Why.")] = "",
    tenant: Tenant = "default",
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
    format_: Format = "table",
) -> None:
    """Say whether a detection is right. A later verdict of yours on it takes the place of an earlier one.

    `feedback stats`: what all verdicts say of each detector, framework and tier.
    `feedback recommend`: which thresholds they speak for, and what these would change.

    Example: tracemend feedback 3f15339e --wrong --note "polls on purpose"
    """
    from collector.cli import feedback as verdicts

    where = (config or [], set_ or [], data_dir)
    if what == "stats":
        leave(guarded(lambda: verdicts.show_statistics(*where, format_, tenant)))
    if what == "recommend":
        leave(guarded(lambda: verdicts.show_advice(*where, format_, tenant)))
    leave(guarded(lambda: verdicts.give_feedback(*where, what, verdicts.verdict_of(correct, wrong), note)))


@thresholds_app.callback()
def thresholds(
    context: typer.Context, config: Config = None, set_: Set = None, data_dir: DataDir = None, format_: Format = "table"
) -> None:
    """Show what holds, unless a command says otherwise."""
    if context.invoked_subcommand is None:
        thresholds_list(config, set_, data_dir, format_)


@thresholds_app.command(name="list")
def thresholds_list(
    config: Config = None, set_: Set = None, data_dir: DataDir = None, format_: Format = "table"
) -> None:
    """Show the thresholds that were set."""
    from collector.cli.thresholds import show_thresholds

    leave(guarded(lambda: show_thresholds(config or [], set_ or [], data_dir, format_)))


@thresholds_app.command(name="set")
def thresholds_set(
    detector: Detector,
    confidence: Annotated[float, typer.Argument(min=0.0, max=1.0, help="The least confidence that is told, 0 to 1.")],
    framework: Framework = "",
    tenant: Tenant = "default",
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
) -> None:
    """Tell a detector's findings only from a confidence on. What was told already goes on being told.

    Example: tracemend thresholds set loop 0.8 --framework langgraph
    """
    from collector.cli.thresholds import set_threshold

    where = (tenant, detector, framework)
    leave(guarded(lambda: set_threshold(config or [], set_ or [], data_dir, where, confidence)))


@thresholds_app.command(name="unset")
def thresholds_unset(
    detector: Detector,
    framework: Framework = "",
    tenant: Tenant = "default",
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
) -> None:
    """Take a threshold away: what is for all frameworks holds again, or else the usual."""
    from collector.cli.thresholds import set_threshold

    leave(guarded(lambda: set_threshold(config or [], set_ or [], data_dir, (tenant, detector, framework), None)))
