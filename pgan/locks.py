"""Locks between processes, held on an open file or folder. A lock ends with the process that holds
it, however that ends, and other containers see it too.
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
    """Hold a folder's lock in the block.

    Args:
        folder: must exist.
        wait: wait for another process that holds the lock.

    Raises:
        BlockingIOError: another process holds the lock, and `wait` is False.
        OSError: this file system, or Windows, has no such locks.
    """
    _need_locks()
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor, wait)
        yield
    finally:
        os.close(descriptor)


def lock(descriptor: int, wait: bool = False) -> None:
    """Lock an open file or folder until it is closed. Raises as `locked` does."""
    _need_locks()
    fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _need_locks():
    if fcntl is None:
        raise OSError('folders cannot be locked here')
