"""The folder of the embedded store, seen to before the engine is: that answers what it cannot write with a dump."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

from collector.bus.writable_folder import check_writable, make_writable

CHDB = "chdb"


def make_store_folder_writable(dsn: str) -> None:
    """See that an embedded store can be opened for writing where its DSN says; raises FolderUnusable."""
    parsed = urlparse(dsn)
    if parsed.scheme != CHDB or parsed.netloc or not parsed.path:
        return  # a server's, or one in memory
    folder = Path(f"/{unquote(parsed.path).lstrip('/')}")
    make_writable(folder)
    check_writable(_folders_in(folder))


def _folders_in(folder: Path) -> Iterator[Path]:
    """Give the folders in which the engine makes its own: those of metadata, databases and tables."""
    for inner in sorted(folder.iterdir()):
        if inner.is_dir():
            yield inner
            yield from (path for path in sorted(inner.iterdir()) if path.is_dir())
