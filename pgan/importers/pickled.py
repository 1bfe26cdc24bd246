"""Safe reading of the pickles of published data sets: a pickle cannot run any code."""
import os
import pickle
from typing import Any

import numpy as np

from pgan.errors import DataError
from pgan.file_kinds import why_unreadable


def _encode(text, encoding='latin1'):
    """Replacement for codecs.encode: Python 3 pickles bytes as a latin1 string to be encoded."""
    if encoding not in ('latin1', 'latin-1'):
        raise pickle.UnpicklingError(f'the encoding {encoding!r}')
    return text.encode('latin1')


# Taken from NumPy's own pickles, because their module's name depends on the NumPy version.
_RECONSTRUCT = np.zeros(1).__reduce__()[0]
_SCALAR = np.int64(0).__reduce__()[0]
_ADMITTED: dict[tuple[str, str], Any] = {
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
    ('_codecs', 'encode'): _encode,
}
for _module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
    _ADMITTED[_module, '_reconstruct'] = _RECONSTRUCT
    _ADMITTED[_module, 'scalar'] = _SCALAR


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickler for NumPy arrays and plain containers; rejects everything else."""

    def find_class(self, module, name):
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}, which no such data set '
                                         'needs') from None


def load_arrays(path: str | os.PathLike, download: str) -> Any:
    """Load a pickle of arrays and plain containers, written by Python 2 or 3.

    Args:
        path: path of the file.
        download: where to download it, for error messages.

    Returns:
        The pickled object.

    Raises:
        DataError: the file is missing, damaged, or contains other types.
    """
    try:
        with open(path, 'rb') as file:
            return _ArrayUnpickler(file, encoding='latin1').load()
    # A damaged pickle can raise almost anything.
    except Exception as error:
        raise DataError(
            f'{path!r} cannot be read: {why_unreadable(path, error)}. Download it again: '
            f'{download}') from error
