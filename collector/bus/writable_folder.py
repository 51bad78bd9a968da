"""Whether a folder can be written as its owner needs it to be, and what to do where it cannot.

Tried by making a file in it: what a mode promises, a file system, a quota or an attribute may take back.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

ANOTHER_PLACE = "or choose another place for it"


class FolderUnusable(OSError):  # noqa: N818  # named by what the caller should know
    """A folder, or what is in it, cannot be written; says what is in the way, and what to do."""


def make_writable(folder: Path) -> None:
    """Make a folder where it is missing, and see that files can be made in it; raises FolderUnusable."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError) as error:
        raise FolderUnusable(
            f"{_file_in_the_way(folder)} is not a folder, and one is needed there: move it away, {ANOTHER_PLACE}"
        ) from error
    except OSError as error:
        raise FolderUnusable(_said(_nearest(folder), error.errno or errno.EIO)) from error


def check_writable(paths: Iterable[Path]) -> None:
    """See that files and folders that are there may be written by us; raises FolderUnusable for the first one."""
    for path in paths:
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise FolderUnusable(_said(path, errno.EACCES))


def _said(path: Path, number: int) -> str:
    if number == errno.EROFS or _on_read_only_mount(path):
        return f"{path} is on a file system that is mounted read-only: mount it for writing, {ANOTHER_PLACE}"
    if number in (errno.EACCES, errno.EPERM):
        return f"{path} cannot be written by {_user(os.geteuid())}, {_why(path)}, {ANOTHER_PLACE}"
    return f"{path} cannot be written ({os.strerror(number)}): see to it, {ANOTHER_PLACE}"


def _why(path: Path) -> str:
    found = path.stat()
    if _allowed(found):
        return "although its owner and mode allow it: see whether an attribute (lsattr) or a security module forbids it"
    whose = f"for it belongs to {_user(found.st_uid)} and has mode {found.st_mode & 0o7777:04o}"
    return f"{whose}: give it to whoever runs tracemend (chown -R, chmod -R u+rwX)"


def _allowed(found: os.stat_result) -> bool:
    """Say whether owner, group and mode let us write."""
    if found.st_uid == os.geteuid():
        return bool(found.st_mode & stat.S_IWUSR)
    if found.st_gid in {os.getegid(), *os.getgroups()}:
        return bool(found.st_mode & stat.S_IWGRP)
    return bool(found.st_mode & stat.S_IWOTH)


def _on_read_only_mount(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _file_in_the_way(folder: Path) -> Path:
    return next(path for path in (*reversed(folder.parents), folder) if path.exists() and not path.is_dir())


def _nearest(folder: Path) -> Path:
    """Give the folder, or the nearest one above it that is there: that one refused."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))


def _user(number: int) -> str:
    try:
        import pwd

        return f"{pwd.getpwuid(number).pw_name} ({number})"
    except (ImportError, KeyError):
        return f"user {number}"
