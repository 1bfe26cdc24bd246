"""Finished images, kept on disk until a data set that takes hours is complete."""
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
    """A folder of images, one file each.

    A context manager: within its block no other process can have the same folder.

    Each file holds the MD5 sum that names the image, one of the data, and the data. A file that was
    left behind by another source, another resolution or a power cut therefore counts as absent.

    Args:
        folder: is made if need be.
        shape: of the images.
        dtype: of the images.

    Raises:
        DataError: the folder cannot be made or written, or another process has it.
    """

    def __init__(self, folder: str, shape: Sequence[int], dtype: npt.DTypeLike) -> None:
        self.folder = folder
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self._lock = contextlib.ExitStack()

    def __reduce__(self):
        # worker processes get one without the lock
        return ImageCache, (self.folder, self.shape, self.dtype)

    @property
    def file_bytes(self) -> int:
        """Size of a file."""
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
            pass  # not every file system has locks; each file by itself is safe without
        with self._left_on_error(), atomic_write(os.path.join(self.folder, 'writable')):
            pass  # better now than when the first image is finished
        for name in os.listdir(self.folder):
            # of killed processes
            if name == 'writable' or name.startswith('.') and name.endswith('.tmp'):
                self._remove(name)
        return self

    def __exit__(self, kind: type[BaseException] | None = None,
                 error: BaseException | None = None,
                 traceback: TracebackType | None = None) -> None:
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)  # if it is empty
        self._lock.close()

    @contextlib.contextmanager
    def _left_on_error(self):
        try:
            yield
        except BaseException:
            self.__exit__()
            raise

    def has(self, index: int, md5: str) -> bool:
        """Whether an image is there, by the look of its file; `read` makes sure."""
        try:
            with open(self._path(index), 'rb') as file:
                size = os.fstat(file.fileno()).st_size
                return file.read(_SUM_BYTES) == bytes.fromhex(md5) and size == self.file_bytes
        except OSError:
            return False

    def write(self, index: int, md5: str, image: np.ndarray) -> None:
        """Keep an image.

        Raises:
            DataError: it cannot be written.
        """
        data = np.ascontiguousarray(image, self.dtype)
        # Waiting for the disk would be for power cuts; what they leave is found out by its MD5 sum.
        with atomic_write(self._path(index), durable=False) as file:
            for part in (bytes.fromhex(md5), hashlib.md5(data.data).digest(), data.data):
                file.write(part)

    def read(self, index: int, md5: str) -> np.ndarray | None:
        """An image, or None if it is not there or damaged."""
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
        """Remove the images."""
        for name in os.listdir(self.folder):
            if name.endswith('.image'):
                self._remove(name)

    def _path(self, index):
        return os.path.join(self.folder, f'{index:05d}.image')

    def _remove(self, name):
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.folder, name))
