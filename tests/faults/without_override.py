"""Becomes the command it is given, without root's right to write what its mode or owner forbids.

    python tests/faults/without_override.py COMMAND [ARGUMENT...]

So a test that runs as root sees what everybody else does. For who is not root it changes nothing.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


def main() -> None:
    """Drop the rights, which a new program cannot take up again, and become it."""
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "this process may not give up its rights")
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  # what it is for


if __name__ == "__main__":
    main()
