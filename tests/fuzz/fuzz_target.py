"""A coverage-guided fuzzer (needs `pip install 'tracemend[fuzz]'`); usage: fuzz_target.py TARGET [libFuzzer options].

Bytes go to a target of `targets.py` as they are; for a target that ends in `_structured`, they choose what a hypothesis
test draws, so that the requests are proper but for what was done to them. What goes wrong is left as a file `crash-*`
in the working directory: it belongs into `corpus/TARGET/`, where the tests replay it.
"""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "driving"), str(Path(__file__).parents[2])]
INSTRUMENTED = ["collector", "config", "healing", "schemas", "sinks"]
STRUCTURED = {
    "split_structured": "test_the_parts_of_any_request_are_the_request",
    "damaged_structured": "test_the_parts_of_a_damaged_request_that_still_parses_are_that_request",
    "json_structured": "test_a_request_as_json_is_read_or_refused_whole_or_damaged",
    "normaliser_structured": "test_any_requests_are_normalised",
}


def main() -> None:
    """Fuzz one target for as long as libFuzzer is told to."""
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=INSTRUMENTED):
        targets, seeds = import_module("targets"), import_module("seeds")
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in STRUCTURED:
        run = getattr(import_module("test_structured"), STRUCTURED[name]).hypothesis.fuzz_one_input
    elif name in targets.TARGETS:
        run = targets.TARGETS[name]
    else:
        sys.exit(f"{__doc__}\nTARGET is one of {', '.join([*targets.TARGETS, *STRUCTURED])}")
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds.seeds(name) if name in targets.TARGETS else ()):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], *sys.argv[2:], folder], run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
