"""Apache ZooKeeper, the keeper that replicated tables of ClickHouse are kept by, as a process on a free port."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from pathlib import Path

from kafka_jars import jars_of

POM = Path(__file__).parent / "keeper" / "pom.xml"
START_SECONDS = 60.0
CONFIG = """tickTime=500
dataDir={folder}/data
clientPortAddress=127.0.0.1
clientPort={port}
admin.enableServer=false
"""


class KeeperProcess:
    """A keeper that holds nothing yet; raises NoBroker where its jars cannot be had."""

    def __init__(self, folder: Path) -> None:
        jars = jars_of(POM, "zookeeper")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        (folder / "zoo.cfg").write_text(CONFIG.format(folder=folder, port=self.port))
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        with (folder / "keeper.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["java", "-Xmx256m", "-cp", f"{jars}/*", main, str(folder / "zoo.cfg")],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    def close(self) -> None:
        """Stop it."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > until or self._process.poll() is not None:
                    self.close()
                    raise
                time.sleep(0.1)
            else:
                return
