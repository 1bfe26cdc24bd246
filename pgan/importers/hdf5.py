"""HDF5 archives, the data set format of the Theano version."""
import os
import sys
from collections.abc import Iterable

import numpy as np
from tqdm import tqdm

from pgan.archives import check_unpacked
from pgan.errors import DataError
from pgan.file_kinds import why_unreadable
from pgan.files import nearest_path
from pgan.importers.source import NumberedImages, Source
from pgan.resolutions import is_resolution

# HDF5 decompresses a whole chunk, possibly of many images, to read one image. A large cache avoids
# decompressing it for each of them.
CHUNK_CACHE_BYTES = 256 << 20


def load_hdf5(hdf5_file: str | os.PathLike) -> Source:
    """Load the images of an archive, and its labels if there are any.

    Images are read one at a time, when they are fetched.

    Of the arrays whose names start with `data` (data4x4, data8x8, ...), the one with the largest
    images is used: [n, C, R, R], uint8 or float in 0..255. Labels are read from `<archive without
    extension>-labels.npy`: numbers [n, components].

    Raises:
        DataError: a file is missing, damaged or of the wrong form.
    """
    print(f'Loading HDF5 archive from "{hdf5_file}"')
    data = _largest(hdf5_file, _open(hdf5_file))

    def fetch(order: Iterable[int]) -> NumberedImages:
        lowest, highest = np.inf, -np.inf
        for index in order:
            image = _read(hdf5_file, data, index)
            lowest, highest = min(lowest, image.min()), max(highest, image.max())
            yield index, image
        _report_range(hdf5_file, lowest, highest)

    return Source(len(data), fetch, labels=_load_labels(hdf5_file, len(data)))


def _open(hdf5_file):
    import h5py
    check_unpacked(hdf5_file, 'the path of an .h5 file', folder=False)
    if os.path.isdir(hdf5_file):
        raise DataError(f'the HDF5 archive {hdf5_file!r} is a folder. Expected the path of an .h5 '
                        'file.')
    if not os.path.isfile(hdf5_file) or not os.access(hdf5_file, os.R_OK):
        raise DataError(f'the HDF5 archive {hdf5_file!r} does not exist, or is not a readable '
                        f'file.{nearest_path(hdf5_file)} Expected the path of an .h5 file.')
    try:
        return h5py.File(hdf5_file, 'r', rdcc_nbytes=CHUNK_CACHE_BYTES)
    except OSError as error:
        raise DataError(f'{hdf5_file!r} cannot be read as HDF5: '
                        f'{why_unreadable(hdf5_file, error)}. Expected an archive of images; copy '
                        'or download it again.') from error


def _largest(hdf5_file, archive):
    import h5py
    arrays = {
        name: value
        for name, value in archive.items()
        if isinstance(value, h5py.Dataset) and value.shape is not None
    }
    images = [
        value for name, value in arrays.items()
        if name.startswith('data') and value.ndim == 4 and value.dtype.kind in 'fiu'
    ]
    found = ', '.join(f'{name} {value.dtype} {list(value.shape)}'
                      for name, value in arrays.items()) or 'no arrays'
    if not images:
        raise DataError(f'{hdf5_file!r} has no images. Expected numeric arrays [n, C, R, R] whose '
                        f"names start with 'data'. Found: {found}.")
    data = max(images, key=lambda value: value.shape[3])
    channels, height, width = data.shape[1:]
    if len(data) == 0 or channels not in (1, 3) or height != width or not is_resolution(width):
        raise DataError(f'the images in {hdf5_file!r} cannot be used. Expected the shape [n, C, '
                        'R, R] with 1 or 3 channels and R a power of two of at least 4. Found: '
                        f'{found}.')
    return data


def _read(hdf5_file, data, index):
    try:
        image = data[index]
    except (OSError, RuntimeError) as error:
        raise DataError(f'image {index} of {hdf5_file!r} cannot be read: {error}. Copy or '
                        'download the archive again.') from error
    if image.dtype.kind == 'f' and not np.isfinite(image).all():
        raise DataError(f'image {index} of {hdf5_file!r} holds nan or inf. Expected numbers from '
                        '0 to 255.')
    return image


def _report_range(hdf5_file, lowest, highest):
    """Print a note about values outside of 0..255, which are clipped as in the original, and about
    values that do not exceed 1.
    """
    if lowest < 0 or highest > 255 or highest <= 1:
        tqdm.write(
            f'note: the values in {hdf5_file!r} are from {lowest:g} to {highest:g}. '
            'Expected 0 (black) to 255 (white): values outside of that range were clipped.',
            file=sys.stderr)


def _load_labels(hdf5_file, num_images):
    path = os.path.splitext(hdf5_file)[0] + '-labels.npy'
    if not os.path.exists(path):
        return None
    try:
        labels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f'the labels {path!r} cannot be read: {error}. Fix the file, or move it '
                        'elsewhere to import without labels.') from error
    is_table = isinstance(labels, np.ndarray) and labels.ndim == 2
    if not is_table or len(labels) != num_images or labels.dtype.kind not in 'fiub':
        raise DataError(f'the labels {path!r} do not fit the images. Expected numbers of the '
                        f'shape [{num_images}, components]. Received: '
                        f'{getattr(labels, "dtype", type(labels).__name__)} of shape '
                        f'{list(np.shape(labels))}.')
    return labels
