"""Fault injection for file operations: open, the k-th write, fsync, close or rename fails, or the
process is killed there.

Files opened for writing in a folder get our own `FileIO` under Python's buffers, so errors occur
when and where those of the system would. Files that libraries write directly (TensorFlow) are not
affected; `file_size_limit` covers those, too.
"""
import builtins
import contextlib
import errno
import io
import os
import pathlib
import resource
import shutil

import numpy as np

from pgan.data.writer import TFRecordExporter

OPERATIONS = ('open', 'write', 'fsync', 'close', 'rename', 'mkdir')
BUFFER = 256  # bytes between two writes to disk: small, so that small files need several writes

ERRORS = {'ENOSPC': errno.ENOSPC, 'EIO': errno.EIO}
MOST_WRITES = 8  # per file; of more writes, this many are tried, including the first and the last


class Killed(BaseException):
    """Simulates SIGKILL or a power failure: no later operation reaches the disk, including
    clean-up.
    """


class Disk:
    """Counts operations on files in a folder, and makes one of them fail.

    Args:
        folder: the current folder of a test, a string.
        operation: one of OPERATIONS.
        number: index of the operation that fails, from 0; None = no failure.
        error: errno of the failure; or `Killed`, after which all operations fail; or a function
            that ends the process.

    Attributes:
        counts: {operation: number so far}.
        failed: whether the failure has occurred.
    """

    def __init__(self, folder, operation=None, number=None, error=None):
        self.folder, self.operation, self.number, self.error = os.path.realpath(
            folder), operation, number, error
        self.counts = dict.fromkeys(OPERATIONS, 0)
        self.failed = self.dead = False

    def step(self, operation):
        """Count one operation; fail if it is the chosen one."""
        if self.dead:
            raise Killed
        number, self.counts[operation] = self.counts[operation], self.counts[operation] + 1
        if operation == self.operation and number == self.number:
            self.failed, self.dead = True, self.error is Killed
            raise OSError(self.error, os.strerror(self.error)) if isinstance(self.error,
                                                                             int) else self.error()

    def is_here(self, path):
        if isinstance(path, int):
            path = os.readlink(f'/proc/self/fd/{path}')
        return os.path.realpath(os.fspath(path)).startswith(self.folder + os.sep)

    @contextlib.contextmanager
    def installed(self, monkeypatch):
        """Replace Python's open and functions of os."""
        with monkeypatch.context() as patch:
            patch.setattr(builtins, 'open', self._open(builtins.open))
            for operation, names in (('fsync', ['fsync']), ('rename', ['rename', 'replace']),
                                     ('mkdir', ['mkdir']), (None, ['unlink', 'remove', 'rmdir'])):
                for name in names:
                    patch.setattr(os, name, self._guard(getattr(os, name), operation))
            yield self

    def _guard(self, function, operation):
        def guarded(path, *args, **kwargs):
            if self.dead:
                raise Killed
            # Creating an existing folder does not count: it fails anyway, and callers ignore that.
            if operation is not None and self.is_here(path) and not (operation == 'mkdir'
                                                                     and os.path.isdir(path)):
                self.step(operation)
            return function(path, *args, **kwargs)
        return guarded

    def _open(self, original):
        def opened(path, mode='r', buffering=-1, encoding=None, errors=None, newline=None,
                   **kwargs):
            if not set(mode) & set('wax+') or isinstance(path, int) or not self.is_here(path):
                return original(path, mode, buffering, encoding, errors, newline, **kwargs)
            self.step('open')
            raw = _Raw(self, os.fspath(path), mode.replace('b', '').replace('t', ''))
            file = (io.BufferedRandom if '+' in mode else io.BufferedWriter)(raw, BUFFER)
            return file if 'b' in mode else io.TextIOWrapper(file, encoding, errors, newline)
        return opened


class _Raw(io.FileIO):
    def __init__(self, disk, path, mode):
        super().__init__(path, mode)
        self._disk = disk

    def write(self, data):
        if self._disk.dead:
            return memoryview(data).nbytes  # The buffers of a dead process are lost.
        self._disk.step('write')
        return super().write(data)

    def close(self):
        was_open = not self.closed
        super().close()
        if was_open and not self._disk.dead:
            self._disk.step('close')


@contextlib.contextmanager
def file_size_limit(size):
    """Limit the size of this process's files, so that a system write fails, also in other
    libraries.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def tree(folder='.'):
    """Content of a folder: {relative path: bytes, or None for a folder}."""
    found = {}
    for place, folders, names in os.walk(folder):
        for name in folders:
            found[os.path.relpath(os.path.join(place, name), folder)] = None
        for name in names:
            path = os.path.join(place, name)
            with open(path, 'rb') as file:
                found[os.path.relpath(path, folder)] = file.read()
    return found


def picture(version, channels=3):
    return np.random.RandomState(version).randint(0, 256, [channels, 32, 32], dtype=np.uint8)


def check_message(error, name, cause):
    """The message is one paragraph that names the cause and the file or its folder."""
    text = str(error)
    assert '\n' not in text and name in text and cause in text and len(text) < 1000, text


def faults_of(write, folder, monkeypatch):
    """All (operation, number) at which replacing version 0 by version 1 can fail."""
    with Disk(folder).installed(monkeypatch) as disk:
        write(1)
    for operation in OPERATIONS:
        numbers = range(disk.counts[operation])
        if len(numbers) > MOST_WRITES:
            numbers = sorted(
                {int(number)
                 for number in np.linspace(0,
                                           len(numbers) - 1, MOST_WRITES)})
        for number in numbers:
            yield operation, number


def start_anew(before):
    """Replace the content of the current folder by a `tree`."""
    for name in os.listdir():
        shutil.rmtree(name) if os.path.isdir(name) else os.unlink(name)
    for name, data in before.items():
        os.makedirs(name if data is None else os.path.dirname(name) or '.', exist_ok=True)
        if data is not None:
            pathlib.Path(name).write_bytes(data)


def write_images(folder, version):
    with TFRecordExporter(folder, 3, print_progress=False) as out:
        for number in range(3):
            out.add_image(picture(version + 2 * number))
