"""Starts a process of a pipeline, early: it reads in its modules while the first one still reads in its own.

Measured in turns on two cores, three processes and the embedded store: ready after 1.6 to 2.0 s, before 1.7 to 2.1 s.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from collector.process_plan import Part, name_of


class Begun(NamedTuple):
    """A process that waits on its link for what it is to do, and our end of that link."""

    process: subprocess.Popen[bytes]
    link: socket.socket

    def end(self) -> None:
        """Kill it, since it is not needed, and wait until it holds nothing that it inherited."""
        self.link.close()
        self.process.kill()
        self.process.wait()


def begin(part: Part, inherited: Sequence[int]) -> Begun:
    """Run this program again: with the modules of this one, and none of the folder it happens to stand in.

    `inherited`: descriptors that it holds as well.
    """
    ours, theirs = socket.socketpair()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_absolute())}
    with ExitStack() as unless_begun:
        unless_begun.callback(ours.close)
        with theirs:
            process = subprocess.Popen(  # noqa: S603  # ourselves
                [sys.executable, "-P", "-m", "collector.child", name_of(part), str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *inherited),
                env=environment,
            )
        unless_begun.pop_all()
    return Begun(process, ours)


def begin_all(parts: Sequence[Part], inherited: Sequence[int]) -> list[Begun]:
    """Begin several; none is left where one cannot be begun."""
    with ExitStack() as unless_begun:
        begun = []
        for part in parts:
            begun.append(begin(part, inherited))
            unless_begun.callback(begun[-1].end)
        unless_begun.pop_all()
    return begun
