"""Label files of data sets: .npy files with one row per image, read and checked as a whole."""
import glob
import math
import os

import numpy as np

from pgan.errors import ConfigError, DataError, in_short


def load_labels(tfrecord_dir: str | os.PathLike, label_file: str | os.PathLike | None,
                max_label_size: int | str, num_images: int) -> np.ndarray:
    """Load the labels of a data set, cut to max_label_size.

    Args:
        tfrecord_dir: folder of the data set.
        label_file: the label file; None = the .labels file in the folder.
        max_label_size: 'full' = all components, k = the first k, 0 = no labels.
        num_images: number of images in the data set.

    Returns:
        [num_images, components], read-only; float32 [num_images, 0] for max_label_size 0.

    Raises:
        ConfigError: the data set has no labels, or fewer components than max_label_size.
        DataError: the file is damaged, or does not match the data set.
    """
    path = find_label_file(tfrecord_dir, label_file)
    if max_label_size == 0:
        return np.zeros([num_images, 0], np.float32)
    if path is None:
        raise ConfigError(f'max_label_size is {max_label_size!r}, but the data set '
                          f'{os.fspath(tfrecord_dir)!r} has 0 label components: it has no .labels '
                          'file. Set max_label_size=0 (or leave it out), or name a label_file.')
    labels = read_labels(path)
    if labels.ndim != 2 or len(labels) != num_images or labels.dtype.kind not in 'fiu':
        raise DataError(f'the labels in {path!r} do not fit the data set. Expected numbers of '
                        f'shape [{num_images}, components], one row per image. Received: '
                        f'{labels.dtype.name} of shape {list(labels.shape)}. Create the data set '
                        'again, or set max_label_size=0 to train without labels.')
    if max_label_size != 'full':
        if max_label_size > labels.shape[1]:
            raise ConfigError(f'max_label_size is {max_label_size}, but the labels in {path!r} '
                              f"have {labels.shape[1]} components. Lower it, or use 'full' for "
                              'all of them.')
        labels = np.ascontiguousarray(labels[:, :max_label_size])
    bad = ~np.isfinite(labels).all(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f'the labels in {path!r} are damaged: {int(bad.sum())} of {num_images} '
                        f'rows hold nan or inf, first row {row}. Expected finite numbers. '
                        f'Received: {labels[row].tolist()[:8]}. Create the data set again.')
    labels.flags.writeable = False
    return labels


def read_labels(path: str | os.PathLike) -> np.ndarray:
    """Read an array of plain numbers or strings from an .npy file."""
    try:
        with open(path, 'rb') as file:
            _check_npy_size(file)
            file.seek(0)
            return np.load(file, allow_pickle=False)
    # NumPy parses the header as Python, which may raise any exception.
    except Exception as error:
        raise DataError(f'the labels in {path!r} cannot be read: {in_short(error)}. Expected an '
                        '.npy file of float32 [images, components]. Create the data set again, or '
                        'set max_label_size=0 to train without labels.') from error


def _check_npy_size(file):
    """Raise ValueError if the file's size does not match its header.

    NumPy would allocate the memory that the header claims before it notices.
    """
    if file.read(6) != b'\x93NUMPY':
        raise ValueError('it is not an .npy file')
    file.seek(0)
    version = np.lib.format.read_magic(file)
    size = os.fstat(file.fileno()).st_size
    if version != (1, 0):  # the headers of plain arrays never need a later version
        raise ValueError(f'it is an .npy file of version {version}')
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.hasobject:
        raise ValueError('it holds Python objects')
    expected = file.tell() + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != expected:
        raise ValueError(f'it has {size} bytes, but its header ({dtype} of shape {list(shape)}) '
                         f'requires {expected}')


def has_labels(tfrecord_dir: str | os.PathLike) -> bool:
    """Whether the folder of a data set contains labels."""
    return find_label_file(tfrecord_dir, None) is not None


def find_label_file(tfrecord_dir: str | os.PathLike,
                    label_file: str | os.PathLike | None) -> str | os.PathLike | None:
    """Path of a data set's labels: label_file, or the folder's own; None if there are no labels.

    Raises:
        DataError: label_file does not exist.
    """
    if label_file is None:
        found = glob.glob(os.path.join(glob.escape(os.fspath(tfrecord_dir)), '*.labels'))
        return min(found, default=None)
    candidates = [label_file, os.path.join(tfrecord_dir, label_file)]
    for path in candidates:
        if os.path.isfile(path):
            return path
    raise DataError(f'the label file {label_file!r} exists neither in the current folder nor in '
                    f"{tfrecord_dir!r}. Leave label_file out to use the data set's own.")
