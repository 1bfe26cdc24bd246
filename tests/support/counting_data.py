"""Data set that records which images were read, and by which thread."""
import threading

import numpy as np

from dataset import SyntheticDataset


class Counting(SyntheticDataset):
    """Every value of an image is its index; `read` records each read's position and thread."""

    def __init__(self, *args, **kwargs):
        super().__init__(16, 1, dtype='int32', **kwargs)
        self.read, self.has_read = [], threading.Condition()

    def _read(self, position, count, lod):
        images = np.broadcast_to(
            np.arange(position, position + count)[:, None, None, None],
            [count, *self._shape_at(lod)])
        with self.has_read:
            self.read.append((position, threading.current_thread().name))
            self.has_read.notify_all()
        return images.astype(np.int32), self._generate_labels(count)

    def wait_until_read(self, position):
        with self.has_read:
            return self.has_read.wait_for(lambda: any(at == position for at, _ in self.read),
                                          timeout=20)
