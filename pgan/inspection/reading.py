"""Reading a data set once, in the order on disk."""
import numpy as np

import dataset
from pgan.errors import DataError

# Images are read in groups of about so many bytes: many small ones, or a few large ones.
GROUP_BYTES = 8 << 20


def open_in_order(tfrecord_dir, labels=False):
    """Open a data set to be read once, in the order on disk; with `labels`, all components of them,
    if it has any.
    """
    print(f'Loading dataset "{tfrecord_dir}"')
    size = 'full' if labels and dataset.has_labels(tfrecord_dir) else 0
    return dataset.TFRecordDataset(tfrecord_dir, repeat=False, shuffle_mb=0, max_label_size=size)


def groups(dset):
    """Iterate over (images uint8 [n, C, R, R], labels [n, components]) of a data set as they stand
    on disk.

    All images before a damaged one come before its DataError.
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


def in_order(dset):
    """Iterate over (image uint8 [C, R, R], label) of a data set as they stand on disk."""
    for images, labels in groups(dset):
        yield from zip(images, labels)


def to_hwc(image):
    """An image [C, R, R] as Pillow and matplotlib want it: [R, R] or [R, R, 3]."""
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)
