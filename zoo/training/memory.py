"""Memory that a process has freed and will soon need again."""

from __future__ import annotations

import ctypes
import os
import platform

_TOP_PAD, _MMAP_THRESHOLD = -2, -3  # of mallopt, in glibc's malloc.h
_MIB = 2**20


def keep_freed_memory() -> bool:
    """Let glibc keep what a training step frees for the next step.

    By default glibc gives large blocks back to the system at once, and the next step gets them
    anew, page by page: in a training of small batches that takes up to half of the time
    (`benchmarks/short_epochs.py`). This keeps up to 64 MiB a thread.

    Tells whether it was set: not where another C library runs, nor over the environment's settings.
    """
    environment = ("GLIBC_TUNABLES", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_")
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in environment):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, 32 * _MIB) and mallopt(_TOP_PAD, 64 * _MIB))
