"""CIFAR-10: 50000 small colour photographs."""
import os

import numpy as np

from errors import DataError
from importers import Source, onehot
from importers.pickled import load_arrays

BATCH_IMAGES = 10000


def load_cifar10(cifar10_dir):
    """The training set, 3x32x32, with one-hot labels of 10 classes.

    Raises:
        DataError: a file is missing or is not that of CIFAR-10.
    """
    print(f'Loading CIFAR-10 from "{cifar10_dir}"')
    paths = [os.path.join(cifar10_dir, f'data_batch_{number}') for number in range(1, 6)]
    batches = [read_batch(path, 'labels', BATCH_IMAGES) for path in paths]
    images, labels = (np.concatenate(parts) for parts in zip(*batches))
    check_standard(cifar10_dir, images, labels, 10)
    return Source.from_arrays(images, onehot(labels, 10))


def read_batch(path, label_key, num_images):
    """One pickled batch: images uint8 [num_images, 3, 32, 32] and class numbers int64 [num_images]."""
    batch = load_arrays(path)
    if not isinstance(batch, dict) or 'data' not in batch or label_key not in batch:
        raise DataError(f"{path!r} is not a CIFAR batch. Expected a pickled dict with 'data' and {label_key!r}.")
    images, labels = batch['data'], np.asarray(batch[label_key])
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape != (num_images, 3072):
        raise DataError(f'the images in {path!r} are not those of CIFAR. Expected uint8 of shape [{num_images}, 3072]. '
                        f'Received: {getattr(images, "dtype", type(images).__name__)} of shape {list(np.shape(images))}.')
    if labels.shape != (num_images,) or labels.dtype.kind not in 'iu':
        raise DataError(f'the labels in {path!r} are not those of CIFAR. Expected {num_images} whole numbers. '
                        f'Received: {labels.dtype} of shape {list(labels.shape)}.')
    return images.reshape(-1, 3, 32, 32), labels.astype(np.int64)


def check_standard(folder, images, labels, num_classes):
    """Raise DataError unless pixels reach from 0 to 255 and labels are 0 to num_classes - 1, each at least once."""
    if (images.min(), images.max()) != (0, 255):
        raise DataError(f'the images in {folder!r} are not those of CIFAR-{num_classes}. Expected pixels from 0 to 255. '
                        f'Received: {images.min()} to {images.max()}.')
    if not np.array_equal(np.unique(labels), np.arange(num_classes)):
        raise DataError(f'the labels in {folder!r} are not those of CIFAR-{num_classes}. Expected 0 to {num_classes - 1}. '
                        f'Received: {len(np.unique(labels))} different ones from {labels.min()} to {labels.max()}.')
