"""`tracemend bus`, `topics` and `dead-letters`: what an operator asks of the bus and does to it."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from collector.cli.command import Config, DataDir, Format, Set, guarded, leave

bus_app = typer.Typer(
    help="The embedded log: is it whole, and what of it can be saved.", no_args_is_help=True, rich_markup_mode=None
)
dead_letters_app = typer.Typer(
    help="Records that could not be handled: list them, put them back.", no_args_is_help=True, rich_markup_mode=None
)

topics_app = typer.Typer(
    help="The topics of a Kafka bus: make them, see how they are, check them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@bus_app.command(name="check")
def bus_check(config: Config = None, set_: Set = None, data_dir: DataDir = None, format_: Format = "table") -> None:
    """Check whether the embedded log is whole, and count what it holds; exit status 1 where it is damaged."""
    from collector.cli.bus import check

    leave(guarded(lambda: check(config or [], set_ or [], data_dir, format_)))


@bus_app.command(name="repair")
def bus_repair(config: Config = None, set_: Set = None, data_dir: DataDir = None, format_: Format = "table") -> None:
    """Set a damaged log aside, and go on with what can be read of it. Stop tracemend first.

    Exit status 1 where something could not be read; the damaged file is kept.
    """
    from collector.cli.bus import repair

    leave(guarded(lambda: repair(config or [], set_ or [], data_dir, format_)))


@topics_app.command(name="create")
def topics_create(config: Config = None, set_: Set = None, data_dir: DataDir = None, format_: Format = "table") -> None:
    """Make the topics that are not there, then check all of them.

    Example: tracemend topics create --set bus::kafka::brokers=broker:9092 --set bus::kafka::replication=3
    """
    from collector.cli.topics import create

    leave(guarded(lambda: create(config or [], set_ or [], data_dir, format_)))


@topics_app.command(name="describe")
def topics_describe(
    config: Config = None, set_: Set = None, data_dir: DataDir = None, format_: Format = "table"
) -> None:
    """Show how the topics are: partitions, replicas, what they keep and for how long."""
    from collector.cli.topics import describe

    leave(guarded(lambda: describe(config or [], set_ or [], data_dir, format_)))


@topics_app.command(name="check")
def topics_check(config: Config = None, set_: Set = None, data_dir: DataDir = None, format_: Format = "table") -> None:
    """Check that the topics are as they have to be; exit status 1 where one is not, with the reason."""
    from collector.cli.topics import check

    leave(guarded(lambda: check(config or [], set_ or [], data_dir, format_)))


FromTopic = Annotated[str, typer.Option("--topic", help="Only those that came from this topic.")]
SinceThen = Annotated[str, typer.Option("--since", help="Only those since: 2026-11-20T10:00:00Z, or 10m, 2h, 1d ago.")]
ErrorClass = Annotated[str, typer.Option("--error", help="Only those with this class of error, as in DatedOutside.")]
FromStage = Annotated[str, typer.Option("--stage", help="Only those that this stage could not handle.")]


@dead_letters_app.command(name="list")
def dead_letters_list(
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
    format_: Format = "table",
    topic: FromTopic = "",
    since: SinceThen = "",
    error: ErrorClass = "",
    stage: FromStage = "",
) -> None:
    """List records that could not be handled: where they came from, who failed, and why.

    Example: tracemend dead-letters list --topic otlp_spans --since 1h --format jsonl
    """
    from collector.cli.dead_letters import Which, show_letters

    which = Which((), topic, since, error, stage)
    leave(guarded(lambda: show_letters(config or [], set_ or [], data_dir, format_, which)))


@dead_letters_app.command(name="replay")
def dead_letters_replay(
    ids: Annotated[
        Optional[list[str]],  # noqa: UP045  # typer reads this one
        typer.Argument(help="The ids that `dead-letters list` shows."),
    ] = None,
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
    topic: FromTopic = "",
    since: SinceThen = "",
    error: ErrorClass = "",
    stage: FromStage = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Put records back on their topics, byte for byte, for the stage that could not handle them.

    Example: tracemend dead-letters replay --stage normaliser --since 1h
    """
    from collector.cli.dead_letters import Which, replay

    which = Which(tuple(ids or ()), topic, since, error, stage)
    leave(guarded(lambda: replay(config or [], set_ or [], data_dir, which, sure=yes)))
