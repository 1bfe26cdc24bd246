"""LRU cache of bytes."""
import collections
import threading
from collections.abc import Hashable


class ByteCache:
    """Thread-safe LRU cache with a limit on its total size.

    Args:
        most_bytes: maximum total size; larger items are not cached.
    """

    def __init__(self, most_bytes: int):
        self._most, self._size = most_bytes, 0
        self._items: collections.OrderedDict[Hashable, bytes] = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> bytes | None:
        """Return the bytes of a key; None if it is not cached."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key]

    def put(self, key: Hashable, value: bytes) -> None:
        """Add bytes and evict the least recently used items."""
        if len(value) > self._most:
            return
        with self._lock:
            self._size += len(value) - len(self._items.pop(key, b''))
            self._items[key] = value
            while self._size > self._most:
                _, oldest = self._items.popitem(last=False)
                self._size -= len(oldest)

    @property
    def size(self) -> int:
        """Total size of the cached bytes."""
        return self._size
