"""From `--config`, `--set` and `--data-dir` to settings, or to a list of everything that is wrong."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from collector.components import registry
from collector.exposure import exposed_doors
from collector.judging import unpriced_models
from collector.looking import wrong_models
from collector.processor_groups import wrong_groups
from collector.stores import wrong_stores
from collector.webhooks import webhook_problems
from config.problems import ConfigError
from config.settings import Settings
from config.sources import gather
from config.validation import validate


def load_settings(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None) -> Settings:
    """Load settings; raises ConfigError with every problem."""
    extra = [f"service::data_dir={data_dir}"] if data_dir is not None else []
    checks = (exposed_doors, wrong_stores, unpriced_models, webhook_problems, wrong_groups, wrong_models)
    return validate(gather(config, [*set_, *extra]), registry(), *checks)


def print_problems(error: ConfigError) -> None:
    """Print every problem, one line each."""
    for problem in error.problems:
        sys.stderr.write(f"{problem}\n")
    count = len(error.problems)
    sys.stderr.write(f"{count} {'problem' if count == 1 else 'problems'} in the configuration\n")
