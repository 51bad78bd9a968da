"""The `tracemend` command. Everything heavy is imported inside the commands, so that help is quick."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from collector.cli.bus_commands import bus_app, dead_letters_app, topics_app
from collector.cli.command import Config, DataDir, Format, Set, guarded, leave
from collector.cli.people_commands import feedback_app, thresholds_app
from collector.cli.store_commands import store_app

app = typer.Typer(
    name="tracemend",
    help="Finds what goes wrong in LLM agent runs while they run, by name, and mends what is safe to mend.\n\n"
    "Start with `tracemend demo`, or with `tracemend up` and an OTLP exporter pointed at 127.0.0.1:4317 (gRPC) "
    "or :4318 (HTTP).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
approvals_app = typer.Typer(
    help="Fixes that wait for a person: list them, approve or reject one.", no_args_is_help=True, rich_markup_mode=None
)
policies_app = typer.Typer(help="The guard policies in force.", no_args_is_help=True, rich_markup_mode=None)
keys_app = typer.Typer(help="API keys: make one, or hash one.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(approvals_app, name="approvals")
app.add_typer(keys_app, name="keys")
app.add_typer(policies_app, name="policies")

app.add_typer(bus_app, name="bus")
app.add_typer(store_app, name="store")
app.add_typer(dead_letters_app, name="dead-letters")
app.add_typer(topics_app, name="topics")
app.add_typer(feedback_app)
app.add_typer(thresholds_app, name="thresholds")

Tenant = Annotated[str, typer.Option(help="Whose key it is.")]
EntryFormat = Annotated[str, typer.Option("--format", help="yaml or json.")]


@app.command()
def up(config: Config = None, set_: Set = None, data_dir: DataDir = None) -> None:
    """Run the whole pipeline here, embedded, until Ctrl-C.

    Asked to stop by SIGINT or SIGTERM it drains and exits with 0, also while it still starts.

    Example: tracemend up --set processors::cost::budgets::run_usd=0.50
    """
    _leave_when_asked()
    leave(guarded(lambda: _up(config, set_, data_dir, [])))


@app.command()
def run(
    only: Annotated[
        list[str],
        typer.Option(
            "--only", help="receivers, normaliser, processors, sinks, healing, policies, or one as in processors/loop."
        ),
    ],
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
) -> None:
    """Run only some roles of the pipeline.

    Example: tracemend run --only receivers --only normaliser
    """
    _leave_when_asked()
    leave(guarded(lambda: _up(config, set_, data_dir, only)))


@app.command()
def validate(config: Config = None, set_: Set = None, data_dir: DataDir = None) -> None:
    """Check a configuration: every mistake at once, with file, line, path and the nearest valid name.

    Example: tracemend validate --config team.yaml
    """

    def check() -> int:
        from collector.cli.configuration import load_settings

        load_settings(config or [], set_ or [], data_dir)
        typer.echo("the configuration is valid")
        return 0

    leave(guarded(check))


@app.command()
def components(format_: Format = "table") -> None:
    """List what may stand in a configuration: receivers, processors, sinks, extensions."""
    from collector.cli.inspecting import print_components

    leave(guarded(lambda: print_components(format_)))


@app.command(name="print-config")
def print_config(
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
    format_: Annotated[str, typer.Option("--format", help="yaml or json.")] = "yaml",
) -> None:
    """Print the configuration that would run, merged and with its defaults; secrets are redacted."""
    from collector.cli.inspecting import print_configuration

    leave(guarded(lambda: print_configuration(config or [], set_ or [], data_dir, format_)))


@app.command()
def asyncapi(
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
    format_: Annotated[str, typer.Option("--format", help="yaml or json.")] = "yaml",
) -> None:
    """Print the AsyncAPI document of the topics: what a program that reads or writes them has to know.

    Example: tracemend asyncapi --format json > tracemend.asyncapi.json
    """
    from collector.cli.asyncapi import print_asyncapi

    leave(guarded(lambda: print_asyncapi(config or [], set_ or [], data_dir, format_)))


@app.command()
def detections(
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
    format_: Format = "table",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is found.")] = False,
    since: Annotated[
        str, typer.Option(help="Only what was told since: 2026-11-20T10:00:00Z, or 10m, 2h, 1d ago.")
    ] = "",
    trace: Annotated[str, typer.Option(help="Only one trace, by its id.")] = "",
    type_: Annotated[str, typer.Option("--type", help="Only one type, as in loop.")] = "",
    all_versions: Annotated[
        bool, typer.Option("--all-versions", help="Every version and status, oldest first, withdrawn ones too.")
    ] = False,
) -> None:
    """Show what was found: the latest version of each detection, without those that were withdrawn.

    Example: tracemend detections --type loop --since 1h --format jsonl
    """
    from collector.cli.detections import Wanted, show_detections

    wanted = Wanted(since, trace, type_, all_versions, follow)
    leave(guarded(lambda: show_detections(config or [], set_ or [], data_dir, format_, wanted)))


@app.command()
def runs(
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
    format_: Format = "table",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
) -> None:
    """Show the newest runs: steps, calls, tokens, and what was found in each."""
    from collector.cli.tables import show_runs

    leave(guarded(lambda: show_runs(config or [], set_ or [], data_dir, format_, limit)))


@app.command()
def diagnose(
    trace: Annotated[
        str,
        typer.Argument(help="The run's id, or that of a trace of it; its beginning is enough. None: all that ended."),
    ] = "",
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
    format_: Format = "table",
    since: Annotated[
        str, typer.Option(help="Of all runs only those that began since: 2026-11-20T10:00:00Z, or 10m, 2h, 1d ago.")
    ] = "",
) -> None:
    """Say what went wrong in a run, who and which step is at fault, and show its steps; also while it goes on.

    Example: tracemend diagnose 6f5d978e
    """
    from collector.cli.diagnose import show_diagnosis

    leave(guarded(lambda: show_diagnosis(config or [], set_ or [], data_dir, format_, trace, since)))


@approvals_app.command(name="list")
def approvals_list(
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
    format_: Format = "table",
    all_: Annotated[bool, typer.Option("--all", help="Also those that were answered or have expired.")] = False,
) -> None:
    """List fixes and reviews that wait for a person."""
    from collector.cli.approvals import show_approvals

    leave(guarded(lambda: show_approvals(config or [], set_ or [], data_dir, format_, everything=all_)))


@approvals_app.command(name="approve")
def approvals_approve(
    healing_id: Annotated[str, typer.Argument(help="The id that `approvals list` shows; its beginning is enough.")],
    note: Annotated[str, typer.Option(help="Why.")] = "",
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
) -> None:
    """Approve a fix: it is applied, unless it has expired or its detection was withdrawn. A review: it is right."""
    from collector.cli.approvals import answer

    leave(guarded(lambda: answer(config or [], set_ or [], data_dir, healing_id, "approved", note)))


@approvals_app.command(name="reject")
def approvals_reject(
    healing_id: Annotated[str, typer.Argument(help="The id that `approvals list` shows; its beginning is enough.")],
    note: Annotated[str, typer.Option(help="Why.")] = "",
    config: Config = None,
    set_: Set = None,
    data_dir: DataDir = None,
) -> None:
    """Reject a fix, or say of a review that its detection is wrong."""
    from collector.cli.approvals import answer

    leave(guarded(lambda: answer(config or [], set_ or [], data_dir, healing_id, "rejected", note)))


@policies_app.command(name="show")
def policies_show(config: Config = None, set_: Set = None, data_dir: DataDir = None, format_: Format = "table") -> None:
    """Show the guard policies in force, per service and agent."""
    from collector.cli.tables import show_policies

    leave(guarded(lambda: show_policies(config or [], set_ or [], data_dir, format_)))


@keys_app.command(name="new")
def keys_new(tenant: Tenant = "default", format_: EntryFormat = "yaml") -> None:
    """Make an API key: told this once on standard error, its hash for the configuration on standard output.

    Example: tracemend keys new --tenant acme > keys.yaml
    """
    from collector.cli.keys import make_key

    leave(guarded(lambda: make_key(tenant, format_)))


@keys_app.command(name="hash")
def keys_hash(tenant: Tenant = "default", format_: EntryFormat = "yaml") -> None:
    """Hash an API key that exists, read from standard input, for the configuration.

    Example: tracemend keys hash --tenant acme < key.txt
    """
    from collector.cli.keys import hash_key

    leave(guarded(lambda: hash_key(tenant, format_)))


@app.command()
def demo(config: Config = None, set_: Set = None, data_dir: DataDir = None) -> None:
    """Replay recorded runs of real agents through a pipeline of its own, and show what it finds and mends."""
    from collector.cli.demo import demo as show

    leave(guarded(lambda: show(config or [], set_ or [], data_dir)))


def _up(config: list[Path] | None, set_: list[str] | None, data_dir: Path | None, only: list[str]) -> int:
    from collector.cli.up import up as start

    return start(config or [], set_ or [], data_dir, only)


def _leave_when_asked() -> None:
    """End with 0 while nothing was accepted yet; once it can, the pipeline answers signals itself, and drains."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: os._exit(0))


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
