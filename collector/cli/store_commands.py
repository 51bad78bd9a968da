"""`tracemend store`: is the embedded store whole, and what of it can be saved."""

from __future__ import annotations

import typer

from collector.cli.command import Config, DataDir, Format, Set, guarded, leave

store_app = typer.Typer(
    help="The embedded store: is it whole, and what of it can be saved.", no_args_is_help=True, rich_markup_mode=None
)


@store_app.command(name="check")
def store_check(config: Config = None, set_: Set = None, data_dir: DataDir = None, format_: Format = "table") -> None:
    """Read every part of every table and compare it with its checksums. Stop tracemend first.

    Exit status 1 where something is damaged; nothing is changed.
    """
    from collector.cli.store import check

    leave(guarded(lambda: check(config or [], set_ or [], data_dir, format_)))


@store_app.command(name="repair")
def store_repair(config: Config = None, set_: Set = None, data_dir: DataDir = None, format_: Format = "table") -> None:
    """Bring back the rows of damaged parts, from them and from the bus, and put the parts away. Stop tracemend first.

    Exit status 1 where a row could not be brought back; damaged parts are kept.
    """
    from collector.cli.store import repair

    leave(guarded(lambda: repair(config or [], set_ or [], data_dir, format_)))
