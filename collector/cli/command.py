"""What the commands share: options that all of them take, and how a command ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

Config = Annotated[
    Optional[list[Path]],  # noqa: UP045  # typer reads this one
    typer.Option("--config", "-c", help="A YAML file merged over the built-in configuration; may be repeated."),
]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045  # as above
    typer.Option("--set", help="One setting, as in --set processors::loop::enabled=false; may be repeated."),
]
DataDir = Annotated[
    Optional[Path],  # noqa: UP045  # as above
    typer.Option("--data-dir", readable=False, help="Where everything embedded lives (service::data_dir)."),
]
Format = Annotated[str, typer.Option("--format", help="table, json (one document) or jsonl (one object a line).")]


def guarded(command: Any) -> int:
    """Run a command; what a user can mend is told without a traceback."""
    from collector.bus.protocol import BusError
    from collector.cli.configuration import print_problems
    from collector.cli.output import WrongUsage
    from config.problems import ConfigError
    from sinks.store import StoreError

    try:
        return int(command())
    except ConfigError as error:
        print_problems(error)
        return 2
    except WrongUsage as error:
        sys.stderr.write(f"tracemend: {error}\n")
        return 2
    except BrokenPipeError:
        return 0
    except (StoreError, BusError, OSError) as error:
        sys.stderr.write(f"tracemend: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def leave(code: int) -> None:
    """End the program with an exit status."""
    raise typer.Exit(code)
