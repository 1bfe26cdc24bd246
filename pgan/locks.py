"""Inter-process locks on an open file or folder. The system releases a lock when its process ends
for any reason. Other containers see it too.
"""
import contextlib
import os
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def locked(folder: str | os.PathLike, wait: bool = False) -> Iterator[None]:
    """Hold a lock on a folder during the block.

    Args:
        folder: an existing folder.
        wait: wait while another process holds the lock.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is False.
        OSError: this file system, or Windows, does not support these locks.
    """
    _need_locks()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor, wait)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, wait: bool = False) -> None:
    """Lock an open file or folder until it is closed. Raises the same errors as `locked`."""
    _need_locks()
    fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _need_locks():
    if fcntl is None:
        raise OSError('folders cannot be locked here')
