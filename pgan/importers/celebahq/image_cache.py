"""Disk cache of finished images, for a data set that takes hours to complete."""
import contextlib
import hashlib
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from pgan.errors import DataError
from pgan.files import atomic_write, make_folder
from pgan.locks import locked

_SUM_BYTES = 16  # of an MD5 sum


class ImageCache:
    """A folder of images, one file each. A context manager that locks the folder.

    Each file holds the MD5 sum that identifies the image, the MD5 sum of the data, and the data. A
    file of another source or resolution, or one damaged by a power cut, is treated as missing.

    Args:
        folder: the folder, created when needed.
        shape: shape of the images.
        dtype: type of the images.

    Raises:
        DataError: the folder cannot be created or written, or another process has locked it.
    """

    def __init__(self, folder: str, shape: Sequence[int], dtype: npt.DTypeLike) -> None:
        self.folder = folder
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self._lock = contextlib.ExitStack()

    def __reduce__(self):
        # Worker processes get an instance without the lock.
        return ImageCache, (self.folder, self.shape, self.dtype)

    @property
    def file_bytes(self) -> int:
        """Size of a file in bytes."""
        return 2 * _SUM_BYTES + int(np.prod(self.shape)) * self.dtype.itemsize

    def __enter__(self) -> Self:
        make_folder(self.folder)
        try:
            self._lock.enter_context(locked(self.folder))
        except BlockingIOError as error:
            raise DataError(f'another process is working in the folder {self.folder!r}, on the '
                            'same data set. Wait until it is done, or choose another name.'
                            ) from error
        except OSError:
            pass  # the file system has no locks; each single file is safe nevertheless
        with self._left_on_error(), atomic_write(os.path.join(self.folder, 'writable')):
            pass  # fail now rather than when the first image is finished
        for name in os.listdir(self.folder):
            # Temporary files of killed processes.
            if name == 'writable' or name.startswith('.') and name.endswith('.tmp'):
                self._remove(name)
        return self

    def __exit__(self, kind: type[BaseException] | None = None,
                 error: BaseException | None = None,
                 traceback: TracebackType | None = None) -> None:
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)  # fails unless it is empty
        self._lock.close()

    @contextlib.contextmanager
    def _left_on_error(self):
        try:
            yield
        except BaseException:
            self.__exit__()
            raise

    def has(self, index: int, md5: str) -> bool:
        """Whether an image is cached, judging by its file's size and name. `read` checks the data.
        """
        try:
            with open(self._path(index), 'rb') as file:
                size = os.fstat(file.fileno()).st_size
                return file.read(_SUM_BYTES) == bytes.fromhex(md5) and size == self.file_bytes
        except OSError:
            return False

    def write(self, index: int, md5: str, image: np.ndarray) -> None:
        """Write an image to the cache.

        Raises:
            DataError: the file cannot be written.
        """
        data = np.ascontiguousarray(image, self.dtype)
        # No fsync: it would only help after a power cut, and the MD5 sum detects damaged files.
        with atomic_write(self._path(index), durable=False) as file:
            for part in (bytes.fromhex(md5), hashlib.md5(data.data).digest(), data.data):
                file.write(part)

    def read(self, index: int, md5: str) -> np.ndarray | None:
        """Read an image; None if it is missing or damaged."""
        try:
            with open(self._path(index), 'rb') as file:
                name = file.read(_SUM_BYTES)
                checksum = file.read(_SUM_BYTES)
                data = file.read()
        except OSError:
            return None
        if name != bytes.fromhex(md5) or len(data) != self.file_bytes - 2 * _SUM_BYTES:
            return None
        if hashlib.md5(data).digest() != checksum:
            return None
        return np.frombuffer(data, self.dtype).reshape(self.shape)

    def clear(self) -> None:
        """Remove all images."""
        for name in os.listdir(self.folder):
            if name.endswith('.image'):
                self._remove(name)

    def _path(self, index):
        return os.path.join(self.folder, f'{index:05d}.image')

    def _remove(self, name):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.folder, name))
