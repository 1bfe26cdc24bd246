"""MNIST: 60000 handwritten digits, in grayscale, or stacked in threes as RGB channels."""
import gzip
import os
import zlib
from collections.abc import Iterable

import numpy as np

from pgan.archives import check_unpacked
from pgan.errors import ConfigError, DataError
from pgan.file_kinds import why_unreadable
from pgan.importers.source import NumberedImages, Source, not_found, onehot, pad_to_32

NUM_IMAGES = 60000
IMAGE_FILE, LABEL_FILE = 'train-images-idx3-ubyte.gz', 'train-labels-idx1-ubyte.gz'
EXPECTED = f'{IMAGE_FILE} and {LABEL_FILE}'
DOWNLOAD = ('https://ossci-datasets.s3.amazonaws.com/mnist/ (a copy of '
            'http://yann.lecun.com/exdb/mnist/)')


def load_mnist(mnist_dir: str | os.PathLike) -> Source:
    """Load the training set, padded to 32x32, with one-hot labels of 10 classes.

    Raises:
        DataError: a file is missing or is not part of MNIST.
    """
    print(f'Loading MNIST from "{mnist_dir}"')
    images, labels = read_digits(mnist_dir)
    return Source.from_arrays(pad_to_32(images), onehot(labels, 10))


def load_mnistrgb(mnist_dir: str | os.PathLike, num_images: int, random_seed: int) -> Source:
    """Create images 3x32x32 whose colour channels are three random digits; without labels.

    Args:
        mnist_dir: folder of the MNIST files.
        num_images: number of images. They are created while they are written, so any number fits
            into memory.
        random_seed: seed for picking the digits, 0 to 2^32 - 1.

    Raises:
        ConfigError: a number is out of range.
        DataError: a file is missing or is not part of MNIST.
    """
    if num_images < 1:
        raise ConfigError(f'--num_images must be at least 1. Received: {num_images}.')
    if not 0 <= random_seed < 1 << 32:
        raise ConfigError(f'--random_seed must be from 0 to {(1 << 32) - 1}. Received: '
                          f'{random_seed}.')
    print(f'Loading MNIST from "{mnist_dir}"')
    digits = pad_to_32(read_digits(mnist_dir)[0])[:, 0]

    def fetch(order: Iterable[int]) -> NumberedImages:
        random = np.random.RandomState(random_seed)
        for number in order:
            yield number, digits[random.randint(NUM_IMAGES, size=3)]

    return Source(num_images, fetch, sequential=True)


def read_digits(mnist_dir: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Read the training set: pixels uint8 [60000, 28, 28] and digits uint8 [60000]."""
    check_unpacked(mnist_dir, f'a folder that holds {EXPECTED}')
    images = _read_idx(mnist_dir, IMAGE_FILE, (NUM_IMAGES, 28, 28))
    labels = _read_idx(mnist_dir, LABEL_FILE, (NUM_IMAGES,))
    if (images.min(), images.max()) != (0, 255):
        raise DataError(f'{IMAGE_FILE} in {mnist_dir!r} is not part of MNIST. Expected pixels '
                        f'from 0 to 255. Received: {images.min()} to {images.max()}. Download: '
                        f'{DOWNLOAD}')
    if not np.array_equal(np.unique(labels), np.arange(10)):
        raise DataError(f'{LABEL_FILE} in {mnist_dir!r} is not part of MNIST. Expected the labels '
                        f'0 to 9. Received: {np.unique(labels).tolist()}. Download: {DOWNLOAD}')
    return images, labels


def _read_idx(mnist_dir, name, shape):
    """Read an IDX file of uint8, gzipped or unpacked.

    It consists of a magic number (0 0 8 dimensions), big-endian sizes, and the values.
    """
    path = os.path.join(mnist_dir, name)
    unpacked = path.removesuffix('.gz')
    is_unpacked = os.path.isfile(unpacked) and not os.path.exists(path)
    try:
        with open(unpacked, 'rb') if is_unpacked else gzip.open(path, 'rb') as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise not_found(mnist_dir, name, EXPECTED, DOWNLOAD) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f'{path!r} cannot be read: {why_unreadable(path, error)}. Download it again: '
            f'{DOWNLOAD}') from error
    start = 4 + 4 * len(shape)
    found = np.frombuffer(data[4:start], '>u4').tolist() if len(data) >= start else []
    magic = bytes([0, 0, 8, len(shape)])
    if data[:4] != magic or found != list(shape) or len(data) != start + np.prod(shape):
        raise DataError(f'{path!r} is not part of MNIST. Expected an IDX file of the shape '
                        f'{list(shape)}. Received: {len(data)} bytes, shape {found}. Download it '
                        f'again: {DOWNLOAD}')
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
