"""Sequential reading of a data set, in the order on disk."""
import os
from collections.abc import Iterator
from typing import Literal

import numpy as np

import dataset
from pgan.errors import DataError

# Approximate size of a group of images in bytes: many small images, or a few large ones.
GROUP_BYTES = 8 << 20


def open_in_order(tfrecord_dir: str | os.PathLike, *,
                  labels: bool = False) -> dataset.TFRecordDataset:
    """Open a data set for a single pass in the order on disk.

    Args:
        tfrecord_dir: folder of the data set.
        labels: whether to read all components of its labels, if it has any.
    """
    print(f'Loading dataset "{tfrecord_dir}"')
    size: Literal['full', 0] = 'full' if labels and dataset.has_labels(tfrecord_dir) else 0
    return dataset.TFRecordDataset(tfrecord_dir, repeat=False, shuffle_mb=0, max_label_size=size)


def groups(dset: dataset.TFRecordDataset) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Iterate over groups of images in the order on disk.

    All images before a damaged one are yielded before DataError is raised.

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
    """Iterate over (image uint8 [C, R, R], label) in the order on disk."""
    for images, labels in groups(dset):
        yield from zip(images, labels)


def to_hwc(image: np.ndarray) -> np.ndarray:
    """Convert an image [C, R, R] to the layout of Pillow and matplotlib: [R, R] or [R, R, 3]."""
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)
