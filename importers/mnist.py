"""MNIST: 60000 handwritten digits."""
import gzip
import os
import zlib

import numpy as np

from errors import DataError
from importers import Source, onehot, pad_to_32

NUM_IMAGES = 60000
IMAGE_FILE, LABEL_FILE = 'train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz'


def load_mnist(mnist_dir):
    """The training set, padded to 32x32, with one-hot labels of 10 classes.

    Raises:
        DataError: a file is missing or is not that of MNIST.
    """
    print(f'Loading MNIST from "{mnist_dir}"')
    images, labels = read_digits(mnist_dir)
    return Source.from_arrays(pad_to_32(images), onehot(labels, 10))


def read_digits(mnist_dir):
    """Pixels uint8 [60000, 28, 28] and digits uint8 [60000]."""
    images = _read_idx(os.path.join(mnist_dir, IMAGE_FILE), (NUM_IMAGES, 28, 28))
    labels = _read_idx(os.path.join(mnist_dir, LABEL_FILE), (NUM_IMAGES,))
    if (images.min(), images.max()) != (0, 255):
        raise DataError(f'{IMAGE_FILE} in {mnist_dir!r} is not that of MNIST. Expected pixels from 0 to 255. '
                        f'Received: {images.min()} to {images.max()}.')
    if not np.array_equal(np.unique(labels), np.arange(10)):
        raise DataError(f'{LABEL_FILE} in {mnist_dir!r} is not that of MNIST. Expected the labels 0 to 9. '
                        f'Received: {np.unique(labels).tolist()}.')
    return images, labels


def _read_idx(path, shape):
    """Read a gzipped IDX file of uint8: a magic number 0 0 8 dimensions, big-endian sizes, the values."""
    try:
        with gzip.open(path, 'rb') as file:
            data = file.read()
    except FileNotFoundError as error:
        raise DataError(f'{path!r} does not exist. Expected the folder to hold {IMAGE_FILE} and {LABEL_FILE}, '
                        'as MNIST is published.') from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f'{path!r} cannot be read: {error}. Download it again.') from error
    start = 4 + 4 * len(shape)
    found = [int(size) for size in np.frombuffer(data[4:start], '>u4')] if len(data) >= start else []
    if data[:4] != bytes([0, 0, 8, len(shape)]) or found != list(shape) or len(data) != start + np.prod(shape):
        raise DataError(f'{path!r} is not that of MNIST. Expected an IDX file of the shape {list(shape)}. Received: {len(data)} bytes, '
                        f'shape {found}. Download it again.')
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
