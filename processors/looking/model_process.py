"""The full model's process as seen from here: started when it is first asked, killed when it takes too long.

ModelAwayError    later: the model could not answer; the next question starts it again
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, cast

import msgspec
import numpy as np
import numpy.typing as npt

from processors.looking.frames import read_frame, write_frame

Vectors = npt.NDArray[np.float32]

START_SECONDS, ANSWER_SECONDS = 120.0, 60.0
"""What a start may take (5 s on two quiet cores) and what an answer may (some seconds for the largest batch)."""


class ModelAwayError(Exception):
    """The full model did not answer; says why. `kind` names the reason in a word."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind


class _Hello(msgspec.Struct, frozen=True):
    dimensions: int = 0
    error: str = ""
    reason: str = ""


_hello = msgspec.msgpack.Decoder(_Hello).decode
_vectors = msgspec.msgpack.Decoder(bytes).decode


def command_for(folder: str) -> Sequence[str]:
    """Say how the model of a folder is started."""
    return (sys.executable, "-P", "-m", "processors.looking.full_model", folder)


class ModelProcess:
    """One process that makes vectors. Belongs to one thread, but for `close`."""

    def __init__(
        self,
        command: Sequence[str],
        start_seconds: float = START_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._command = command
        self._start_seconds, self._answer_seconds = start_seconds, answer_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._dimensions = 0

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Give a vector of length one for each text; raises ModelAwayError."""
        process = self._process if self._process is not None else self._start()
        try:
            with _killed_after(process, self._answer_seconds):
                write_frame(_stream(process.stdin), texts)
                answer = _vectors(read_frame(_stream(process.stdout)))
            return np.frombuffer(answer, np.float32).reshape(len(texts), self._dimensions)
        except (OSError, EOFError, ValueError, msgspec.DecodeError) as error:
            raise self._gone(error) from error

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):  # what is left to write has no reader any more
                _stream(stream).close()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603  # our own program, or the one a test names
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_absolute())},
            start_new_session=True,  # Ctrl-C is for the pipeline, which drains first
        )
        self._process = process
        try:
            with _killed_after(process, self._start_seconds):
                hello = _hello(read_frame(_stream(process.stdout)))
        except (OSError, EOFError, ValueError, msgspec.DecodeError) as error:
            raise self._gone(error) from error
        if hello.error:
            self.close()
            raise ModelAwayError(hello.error, hello.reason)
        self._dimensions = hello.dimensions
        return process

    def _gone(self, error: Exception) -> ModelAwayError:
        """End what is left of a process that did not answer, and say how it ended."""
        process = self._process
        self.close()
        status = process.returncode if process is not None else None
        return ModelAwayError(type(error).__name__, f"{error} (exit status {status})")


@contextmanager
def _killed_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[None]:
    """Kill a process that takes longer than this: reading from it and writing to it then end."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _stream(stream: IO[bytes] | None) -> BinaryIO:
    """Give a pipe of the process, which was started with it."""
    return cast("BinaryIO", stream)
