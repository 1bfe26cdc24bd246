"""Reading the pickles that data sets are published as, without letting a pickle run anything."""
import os
import pickle
from typing import Any

import numpy as np

from pgan.errors import DataError
from pgan.file_kinds import why_unreadable


def _encode(text, encoding='latin1'):
    """How Python 3 writes bytes into old pickles: as text to be encoded again."""
    if encoding not in ('latin1', 'latin-1'):
        raise pickle.UnpicklingError(f'the encoding {encoding!r}')
    return text.encode('latin1')


# Taken from NumPy's own way of pickling: the module they live in has another name in each version.
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
    """Knows NumPy arrays and plain containers; anything else is refused by name."""

    def find_class(self, module, name):
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}, which no such data set '
                                         'needs') from None


def load_arrays(path: str | os.PathLike, download: str) -> Any:
    """Load a pickle, of Python 2 or 3, made of arrays and plain containers.

    Args:
        path: the file.
        download: where to get it, for the message when it is no good.

    Returns:
        Whatever was pickled.

    Raises:
        DataError: the file is missing, damaged, or has other things in it.
    """
    try:
        with open(path, 'rb') as file:
            return _ArrayUnpickler(file, encoding='latin1').load()
    # A damaged pickle can raise almost anything.
    except Exception as error:
        raise DataError(
            f'{path!r} cannot be read: {why_unreadable(path, error)}. Download it again: '
            f'{download}') from error
