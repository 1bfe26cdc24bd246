"""SVHN: 73257 cropped house number digits."""
import os

import numpy as np

from pgan.archives import check_unpacked
from pgan.errors import DataError
from pgan.file_kinds import why_unreadable
from pgan.importers.pickled import load_arrays
from pgan.importers.source import Source, check_range, not_found, onehot

NUM_IMAGES = 73257
PICKLES = ('train_1.pkl', 'train_2.pkl', 'train_3.pkl')
MAT_FILE = 'train_32x32.mat'
EXPECTED = f'either {", ".join(PICKLES)} or {MAT_FILE}'
DOWNLOAD = f'http://ufldl.stanford.edu/housenumbers/{MAT_FILE}'


def load_svhn(svhn_dir: str | os.PathLike) -> Source:
    """Load the training set, 3x32x32, with one-hot labels of 10 classes.

    It is read from the original's three pickles, or from the published MATLAB file.

    Raises:
        DataError: a file is missing or is not part of SVHN.
    """
    print(f'Loading SVHN from "{svhn_dir}"')
    check_unpacked(svhn_dir, f'a folder that holds {EXPECTED}')
    here = [name for name in (*PICKLES, MAT_FILE) if os.path.exists(os.path.join(svhn_dir, name))]
    if MAT_FILE in here and len(here) < 4:
        images, labels = _read_mat(os.path.join(svhn_dir, MAT_FILE))
    else:
        for name in PICKLES:
            if name not in here:
                raise not_found(svhn_dir, name if here else MAT_FILE, EXPECTED, DOWNLOAD)
        parts = [_read_pickle(os.path.join(svhn_dir, name)) for name in PICKLES]
        images, labels = (np.concatenate(arrays) for arrays in zip(*parts))
    if len(images) != NUM_IMAGES:
        raise DataError(f'the images in {svhn_dir!r} are not those of SVHN. Expected {NUM_IMAGES} '
                        f'in all. Received: {len(images)}. Download: {DOWNLOAD}')
    check_range('SVHN', svhn_dir, images, labels, 10, DOWNLOAD)
    return Source.from_arrays(images, onehot(labels, 10))


def _read_pickle(path):
    """Read a pair (images, labels): uint8 [n, 3, 32, 32] and integers [n]."""
    pair = load_arrays(path, DOWNLOAD)
    is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
    if not is_pair or not all(isinstance(part, np.ndarray) for part in pair):
        raise DataError(f'{path!r} is not a part of SVHN. Expected a pickled pair (images, '
                        f'labels) of arrays. Download: {DOWNLOAD}')
    return _checked(path, *pair)


def _read_mat(path):
    import scipy.io
    try:
        content = scipy.io.loadmat(path, variable_names=('X', 'y'))
        images, labels = content['X'].transpose(3, 2, 0, 1), content['y'].reshape(-1)
    # A damaged file can raise almost anything.
    except Exception as error:
        raise DataError(f'{path!r} cannot be read: {why_unreadable(path, error)}. Expected a '
                        "MATLAB file with 'X' of "
                        f"shape [32, 32, 3, n] and 'y'. Download it again: {DOWNLOAD}") from error
    return _checked(path, images, labels % 10)  # the file labels the digit 0 as 10


def _checked(path, images, labels):
    if images.dtype != np.uint8 or images.shape[1:] != (3, 32, 32):
        raise DataError(f'the images in {path!r} are not those of SVHN. Expected uint8 of shape '
                        f'[n, 3, 32, 32]. Received: {images.dtype} of shape {list(images.shape)}. '
                        f'Download: {DOWNLOAD}')
    if labels.dtype.kind not in 'iu' or labels.shape != images.shape[:1]:
        raise DataError(f'the labels in {path!r} are not those of SVHN. Expected {len(images)} '
                        f'whole numbers. Received: {labels.dtype} of shape {list(labels.shape)}. '
                        f'Download: {DOWNLOAD}')
    return images, labels.astype(np.int64)
