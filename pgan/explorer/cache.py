"""A cache of bytes that forgets what has not been used for longest."""
import collections
import threading
from collections.abc import Hashable


class ByteCache:
    """The bytes used last, up to a number of bytes in all. Any thread may use it.

    Args:
        most_bytes: in all; larger items are not kept.
    """

    def __init__(self, most_bytes: int):
        self._most, self._size = most_bytes, 0
        self._items: collections.OrderedDict[Hashable, bytes] = collections.OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> bytes | None:
        """The bytes of a key, or None."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key]

    def put(self, key: Hashable, value: bytes) -> None:
        """Keep bytes; those unused for longest make room."""
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
        """Bytes kept."""
        return self._size
