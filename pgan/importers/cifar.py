"""CIFAR-10 and CIFAR-100: 50000 small colour photographs each."""
import os

import numpy as np

from pgan.archives import check_unpacked
from pgan.errors import DataError
from pgan.importers.pickled import load_arrays
from pgan.importers.source import Source, check_range, not_found, onehot

DOWNLOAD = 'https://www.cs.toronto.edu/~kriz/cifar.html (the "python version")'


def load_cifar10(cifar10_dir: str | os.PathLike) -> Source:
    """Load the training set, 3x32x32, with one-hot labels of 10 classes.

    Raises:
        DataError: a file is missing or is not part of CIFAR-10.
    """
    print(f'Loading CIFAR-10 from "{cifar10_dir}"')
    names = [f'data_batch_{number}' for number in range(1, 6)]
    return _load(cifar10_dir, names, 'labels', images_per_file=10000, num_classes=10,
                 names_in=('batches.meta', 'label_names'))


def load_cifar100(cifar100_dir: str | os.PathLike) -> Source:
    """Load the training set, 3x32x32, with one-hot labels of the 100 fine classes.

    Raises:
        DataError: a file is missing or is not part of CIFAR-100.
    """
    print(f'Loading CIFAR-100 from "{cifar100_dir}"')
    return _load(cifar100_dir, ['train'], 'fine_labels', images_per_file=50000, num_classes=100,
                 names_in=('meta', 'fine_label_names'))


def _load(folder, names, label_key, *, images_per_file, num_classes, names_in):
    expected = ', '.join(names) + f' (CIFAR-{num_classes})'
    check_unpacked(folder, f'a folder that holds {expected}')
    paths = [os.path.join(folder, name) for name in names]
    for name, path in zip(names, paths):
        if not os.path.exists(path):
            raise not_found(folder, name, expected, DOWNLOAD)
    batches = [_read_batch(path, label_key, images_per_file) for path in paths]
    images, labels = (np.concatenate(parts) for parts in zip(*batches))
    check_range(f'CIFAR-{num_classes}', folder, images, labels, num_classes, DOWNLOAD)
    source = Source.from_arrays(images, onehot(labels, num_classes))
    source.class_names = _class_names(folder, *names_in, num_classes)
    return source


def _class_names(folder, file_name, key, num_classes):
    """Read the class names from the file that comes with the batches; None if it is missing."""
    path = os.path.join(folder, file_name)
    if not os.path.isfile(path):
        return None
    content = load_arrays(path, DOWNLOAD)
    names = content.get(key) if isinstance(content, dict) else None
    is_sound = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not is_sound or len(names) != num_classes:
        raise DataError(f'{path!r} does not name the classes of CIFAR-{num_classes}. Expected a '
                        f'pickled dict with {key!r}, a list of {num_classes} strings. Download it '
                        f'again, or remove it to continue without names: {DOWNLOAD}')
    return names


def _read_batch(path, label_key, num_images):
    """Read a pickled batch: images uint8 [n, 3, 32, 32] and class numbers int64 [n]."""
    batch = load_arrays(path, DOWNLOAD)
    if not isinstance(batch, dict) or 'data' not in batch or label_key not in batch:
        keys = sorted(map(str, batch)) if isinstance(batch, dict) else f'a {type(batch).__name__}'
        raise DataError(f"{path!r} is not a CIFAR batch. Expected a pickled dict with 'data' and "
                        f'{label_key!r}. Received: {keys}. Download: {DOWNLOAD}')
    images, labels = batch['data'], np.asarray(batch[label_key])
    is_array = isinstance(images, np.ndarray)
    if not is_array or images.dtype != np.uint8 or images.shape != (num_images, 3072):
        raise DataError(f'the images in {path!r} are not those of CIFAR. Expected uint8 of shape '
                        f'[{num_images}, 3072]. Received: '
                        f'{getattr(images, "dtype", type(images).__name__)} of shape '
                        f'{list(np.shape(images))}. Download: {DOWNLOAD}')
    if labels.shape != (num_images,) or labels.dtype.kind not in 'iu':
        raise DataError(f'the labels in {path!r} are not those of CIFAR. Expected {num_images} '
                        f'whole numbers. Received: {labels.dtype} of shape {list(labels.shape)}. '
                        f'Download: {DOWNLOAD}')
    return images.reshape(-1, 3, 32, 32), labels.astype(np.int64)
