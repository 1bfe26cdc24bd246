"""Reading a data set once, in the order on disk."""
import os
from collections.abc import Iterator
from typing import Literal

import numpy as np

import dataset
from pgan.errors import DataError

# Images are read in groups of about so many bytes: many small ones, or a few large ones.
GROUP_BYTES = 8 << 20


def open_in_order(tfrecord_dir: str | os.PathLike, *,
                  labels: bool = False) -> dataset.TFRecordDataset:
    """Open a data set to be read once, in the order on disk.

    Args:
        tfrecord_dir: the folder.
        labels: with all components of its labels, if it has any.
    """
    print(f'Loading dataset "{tfrecord_dir}"')
    size: Literal['full', 0] = 'full' if labels and dataset.has_labels(tfrecord_dir) else 0
    return dataset.TFRecordDataset(tfrecord_dir, repeat=False, shuffle_mb=0, max_label_size=size)


def groups(dset: dataset.TFRecordDataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Iterate over a data set as it stands on disk.

    All images before a damaged one come before its DataError.

    Yields:
        (images uint8 [n, C, R, R], labels [n, components]).
    """
    size = max(1, GROUP_BYTES // int(np.prod(dset.shape)))
    while True:
        try:
            group = dset.get_minibatch_np(size)
        except StopIteration:
            return
        except DataError:
            if size == 1:
                raise
            size = 1
        else:
            yield group


def in_order(dset: dataset.TFRecordDataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Iterate over (image uint8 [C, R, R], label) of a data set as they stand on disk."""
    for images, labels in groups(dset):
        yield from zip(images, labels)


def to_hwc(image: np.ndarray) -> np.ndarray:
    """An image [C, R, R] as Pillow and matplotlib want it: [R, R] or [R, R, 3]."""
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)
