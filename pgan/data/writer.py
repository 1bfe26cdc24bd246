"""Atomic writing of data sets, in every resolution from the full one down to 4x4."""
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from types import TracebackType
from typing import IO, Self

import numpy as np
from tqdm import tqdm

from pgan.data.records import RecordLayout
from pgan.errors import DataError
from pgan.files import expanded, move_into_place, sync
from pgan.locks import locked
from pgan.pixels import box_average, to_uint8
from pgan.progress_bar import progress_bar
from pgan.resolutions import is_resolution, log2_of

# Bytes of images that are averaged and written at a time: enough to make NumPy's overhead per call
# negligible.
GROUP_BYTES = 1 << 20
_ENDINGS = ('.tfrecords', '.labels', '-classes.txt')  # of a data set's files


def check_target(tfrecord_dir: str | os.PathLike, force: bool = False) -> None:
    """Check that a data set can be written to a folder. Call it before any long computation.

    Raises:
        DataError: the name is empty, or is the current folder or one of its parents. Or the path
            exists and is not an empty folder or, with `force`, a data set.
    """
    if not os.fspath(tfrecord_dir).strip():
        raise DataError('the name of the data set to create is empty. Expected the folder to '
                        'create, e.g. datasets/mydataset.')
    target, here = os.path.realpath(tfrecord_dir), os.path.realpath(os.curdir)
    if here == target or here.startswith(os.path.join(target, '')):
        raise DataError(f'{tfrecord_dir!r} is {target!r}, which is the current folder or one '
                        'above it. Give the data set a folder of its own, e.g. datasets/mydataset.')
    check_parents(tfrecord_dir)
    if not os.path.lexists(target):
        return
    if not os.path.isdir(target):
        raise DataError(f'{tfrecord_dir!r} exists and is not a folder. Choose another name for '
                        'the data set.')
    if _entries(target) and not force:
        raise DataError(f'the folder {tfrecord_dir!r} exists and is not empty. Choose another '
                        'name, or replace the data set there with --force.')
    _check_replaceable(tfrecord_dir, target)


def check_parents(path: str | os.PathLike) -> None:
    """Raise DataError if no folder can be created at `path`: a parent is a file, or the home of an
    unknown user.
    """
    if os.fspath(path)[:1] == '~':  # the home of a known user has been put in its place
        raise DataError(f'the folder {os.fspath(path)!r} is in the home of a user who does not '
                        'exist. Use ~ for your home folder, or ./~ for a folder of that name.')
    parent = os.path.dirname(os.path.abspath(path))
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not os.path.isdir(parent):
        raise DataError(f'the folder {os.fspath(path)!r} cannot be created: {parent!r} is a file. '
                        'Choose another place, or move the file.')


def _check_replaceable(tfrecord_dir, folder):
    # --force only replaces data sets, so it can never delete e.g. a home folder.
    foreign = _foreign(folder)
    if foreign:
        raise DataError(f'the folder {tfrecord_dir!r} is not replaced, in spite of --force, '
                        f'because it holds {foreign[0]!r}, which is not part of a data set. Move '
                        'that elsewhere or choose another name.')


def _foreign(folder: str) -> list[str]:
    """Sorted names in a folder that are not files of a data set."""
    return sorted(entry.name for entry in _entries(folder)
                  if entry.is_dir() or not entry.name.endswith(_ENDINGS))


def _entries(folder: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f'the folder {folder!r} cannot be read: {error.strerror}. Fix its '
                        'permissions, or choose another name.') from error


def _remove_dataset(folder):
    """Remove a data set and its folder.

    Raises:
        OSError: the folder holds other files. Nothing is removed then, unless they appeared in the
            meantime.
    """
    if not _foreign(folder):
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
    os.rmdir(folder)


def clear_leftovers(tfrecord_dir: str | os.PathLike) -> None:
    """Clean up after killed processes (SIGKILL, power cut) that wrote this data set; print a note.

    A partial data set is removed. A data set that was being replaced is restored, if nothing has
    taken its place.

    Raises:
        DataError: another process is currently writing this data set.
    """
    target = os.path.realpath(tfrecord_dir)
    parent, name = os.path.dirname(target), os.path.basename(os.path.abspath(tfrecord_dir))
    try:
        entries = sorted(os.listdir(parent), reverse=True)  # '...-old' before its replacement
    except OSError:
        return  # missing or unreadable
    for entry in entries:
        match = re.fullmatch(re.escape(f'.{name}.partial-') + r'[a-z0-9_]{8}(-old)?', entry)
        path = os.path.join(parent, entry)
        if name and match and os.path.isdir(path) and not os.path.islink(path):
            _clear_leftover(tfrecord_dir, path, is_old=match[1] is not None)


def _clear_leftover(tfrecord_dir, path, is_old):
    target = os.path.realpath(tfrecord_dir)
    try:
        with locked(path):
            is_free = not os.path.lexists(target)
            if is_old and (is_free or os.path.isdir(target) and not os.listdir(target)):
                os.rename(path, target)
                print(f'Restored "{tfrecord_dir}", which a killed process was replacing')
            else:
                _remove_dataset(path)
                print(f'Removed "{path}", left behind by a killed process')
    except BlockingIOError as error:
        raise DataError(f'another process is writing the data set {os.fspath(tfrecord_dir)!r}, in '
                        f'{path!r}. Wait until it is done, or choose another name.') from error
    except OSError as error:
        print(f'Cannot remove "{path}", which may be left behind by a killed process: '
              f'{error.strerror or error}')


class TFRecordExporter:
    """Context manager that writes one data set.

    The files are written to a hidden folder next to the target, `.NAME.partial-XXXXXXXX`. It is
    renamed to the target when the block succeeds, and removed when it fails. (Only SIGKILL or a
    power cut can leave it behind; see `clear_leftovers`.)

    Args:
        tfrecord_dir: folder to create; its name is the name of the data set.
        expected_images: number of images that will be added.
        print_progress: show a progress bar on a terminal, and print the number of images at the
            end.
        progress_interval: accepted for compatibility with the original, and ignored.
        exact: require exactly expected_images images; False = allow fewer (sources with undecodable
            images).
        force: replace an existing data set, once the new one is complete.

    Raises:
        DataError: the target exists, the disk is full, or images or labels do not fit together.
    """

    def __init__(self, tfrecord_dir: str | os.PathLike, expected_images: int,
                 print_progress: bool = True, progress_interval: int | None = None, *,
                 exact: bool = True, force: bool = False):
        self.tfrecord_dir = tfrecord_dir = expanded(tfrecord_dir)
        self.expected_images = expected_images
        self.cur_images = 0
        self.shape: tuple[int, ...] | None = None
        self._exact = exact
        self._force = force
        self._print_progress = print_progress
        self._name = os.path.basename(os.path.abspath(tfrecord_dir))
        self._target = os.path.realpath(tfrecord_dir)
        self._partial: str | None = None
        self._lock = contextlib.ExitStack()
        self._group: list[np.ndarray] = []
        self._group_size = 1
        # From the full resolution down: layouts and open files.
        self._levels: list[tuple[RecordLayout, IO[bytes]]] = []
        check_target(tfrecord_dir, force)

    def __enter__(self) -> Self:
        if self._print_progress:
            print(f'Creating dataset "{self.tfrecord_dir}"', flush=True)
        self._progress = progress_bar(total=self.expected_images, unit='img',
                                      silent=not self._print_progress)
        try:
            with self._disk_errors():
                self._make_partial()
        except BaseException:
            self._clean_up()
            raise
        return self

    def _make_partial(self):
        parent = os.path.dirname(self._target)
        os.makedirs(parent, exist_ok=True)
        umask = os.umask(0)
        os.umask(umask)
        # Until the folder is locked, another process may remove it as a leftover.
        while self._partial is None or not os.path.isdir(self._partial):
            self._partial = tempfile.mkdtemp(prefix=f'.{self._name}.partial-', dir=parent)
            os.chmod(self._partial, 0o777 & ~umask)  # mkdtemp gives access to the owner only
            with contextlib.suppress(OSError):
                self._lock.enter_context(locked(self._partial))

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None,
                 traceback: TracebackType | None) -> None:
        try:
            if exc_type is None:
                self._finish()
        finally:
            self._clean_up()
        if exc_type is None and self._print_progress:
            print(f'Added {self.cur_images} images.')

    def _clean_up(self):
        self._progress.close()
        self._close_files(silent=True)
        if self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
        self._lock.close()

    def choose_shuffled_order(self) -> np.ndarray:
        """Shuffled order in which to add images and labels: int [expected_images].

        It depends only on the number of images.
        """
        order = np.arange(self.expected_images)
        np.random.RandomState(123).shuffle(order)
        return order

    def add_image(self, image: np.ndarray) -> None:
        """Add one image: [C, R, R], uint8, or float in 0..255.

        All images must have the same shape, with R a power of two, at least 4.
        """
        if self.shape is None:
            self.shape = self._start(image.shape)
        if image.shape != self.shape:
            raise DataError(f'image {self.cur_images} has the shape {list(image.shape)}, but the '
                            f'first one has {list(self.shape)}. All images of a data set must '
                            'have the same shape.')
        self._group.append(np.array(image))  # a copy: the caller may reuse its array
        self.cur_images += 1
        if len(self._group) >= self._group_size:
            self._write_group()

    def add_labels(self, labels: np.ndarray) -> None:
        """Write the labels of all images, in the order in which they were added.

        Args:
            labels: [images, components]; stored as float32.
        """
        with np.errstate(over='ignore'):  # checked below
            labels = np.asarray(labels, np.float32)
        if labels.ndim != 2 or len(labels) != self.cur_images:
            raise DataError('the labels do not fit the images. Expected the shape '
                            f'[{self.cur_images}, components]. Received: {list(labels.shape)}.')
        if not np.isfinite(labels).all():
            raise DataError('the labels of image '
                            f'{int(np.argmin(np.isfinite(labels).all(axis=1)))} are not finite. '
                            'Expected numbers other than nan and inf.')
        with self._disk_errors(), open(self._path_of('-rxx.labels'), 'wb') as file:
            file.write(npy_bytes(labels))

    def add_class_names(self, names: Iterable[str]) -> None:
        """Write NAME-classes.txt: names of the components of one-hot labels, one per line.

        Training does not use them.
        """
        path = self._path_of('-classes.txt')
        with self._disk_errors(), open(path, 'w', encoding='utf-8',
                                       errors='surrogateescape') as file:
            file.writelines(f'{" ".join(name.split())}\n' for name in names)

    def _path_of(self, ending: str) -> str:
        """Path of a file of the partial data set."""
        if self._partial is None:
            raise ValueError('Use a TFRecordExporter as a context manager (with).')
        return os.path.join(self._partial, self._name + ending)

    def _start(self, shape):
        """Open the files for images of the given shape; return the shape."""
        channels, height, width = shape
        if height != width or not is_resolution(height) or channels not in (1, 3):
            raise DataError('images must be square, with sides that are a power of two and at '
                            f'least 4, and have 1 or 3 channels. Received: {width}x{height} with '
                            f'{channels} channels.')
        self._group_size = max(1, GROUP_BYTES // (channels * height * width))
        layouts = [
            RecordLayout((channels, 1 << log2, 1 << log2))
            for log2 in range(log2_of(height), 1, -1)
        ]
        self._check_space(sum(layout.stride for layout in layouts) * self.expected_images)
        with self._disk_errors():
            for layout in layouts:
                path = os.path.join(self._partial,
                                    f'{self._name}-r{log2_of(layout.shape[1]):02d}.tfrecords')
                self._levels.append((layout, open(path, 'wb')))
        return channels, height, width

    def _check_space(self, needed):
        """Raise DataError if the disk is too small, before hours of writing."""
        with self._disk_errors():
            free = shutil.disk_usage(self._partial).free
        if needed > free:
            needed, free = (f'{tqdm.format_sizeof(size)}B' for size in (needed, free))
            raise DataError(f'the data set {self.tfrecord_dir!r} does not fit on the disk: '
                            f'{self.expected_images} images need {needed}, and {free} are free. '
                            'Free some space, or choose another place.')

    def _write_group(self):
        images = np.stack(self._group)
        self._group = []
        with self._disk_errors():
            for layout, file in self._levels:
                if images.shape[1:] != layout.shape:
                    # Each level is the average of the unrounded next higher resolution.
                    images = box_average(images.astype(np.float32, copy=False))
                file.write(layout.encode(to_uint8(images)).data)
        self._progress.update(len(images))

    def _finish(self):
        if self._group:
            self._write_group()
        if self.cur_images == 0 and not self._exact:
            raise DataError('no data set was written: none of the images can be used.')
        least = self.expected_images if self._exact else 1
        if not max(least, 1) <= self.cur_images <= self.expected_images:
            raise DataError(f'no data set was written: expected {self.expected_images} images, got '
                            f'{self.cur_images}.')
        with self._disk_errors():
            self._close_files()
            sync(self._partial)
            self._move_into_place()

    def _move_into_place(self):
        """Rename the new folder to its final name.

        An existing folder of that name is removed only if it is empty, or if it is a data set and
        `force` is set.
        """
        with contextlib.suppress(OSError):
            os.rmdir(self._target)  # never removes anything but an empty folder
        if os.path.lexists(self._target):
            check_target(self._target, self._force)
            with contextlib.suppress(OSError):
                self._lock.enter_context(locked(self._target))
        move_into_place(
            self._partial, self._target,
            # Check once more, now that no other process can write to it.
            check=lambda old: _check_replaceable(self._target, old),
            remove_old=_remove_dataset)

    def _close_files(self, silent=False):
        for _, file in self._levels:
            with contextlib.suppress(Exception) if silent else contextlib.nullcontext():
                file.close()
        self._levels = []

    @contextlib.contextmanager
    def _disk_errors(self):
        """Convert an OSError to a DataError."""
        try:
            yield
        except DataError:
            raise
        except OSError as error:
            raise DataError(f'the data set {self.tfrecord_dir!r} cannot be written: {error}. The '
                            'partial data set is removed. Check free space and permissions, and '
                            'start again.') from error


def npy_bytes(array: np.ndarray) -> bytes:
    """Encode a C-ordered array as an .npy file with the header of NumPy 1.13, padded to 16 bytes.

    np.save now pads to 64 bytes. With the short header, label files have the sizes published with
    the original. Any NumPy version reads both.
    """
    fields = repr({'descr': array.dtype.str, 'fortran_order': False, 'shape': array.shape})
    header = fields[:-1] + ', }'
    header += ' ' * (-(10 + len(header) + 1) % 16) + '\n'
    magic = b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little')
    return magic + header.encode('latin1') + np.ascontiguousarray(array).tobytes()
