"""Files that appear whole or not at all."""
import contextlib
import os
import shutil
import uuid

from errors import DataError, UserError


@contextlib.contextmanager
def atomic_write(path, mode='wb'):
    """Open a file for writing that takes its place only when everything has been written.

        with atomic_write('network-final.pkl') as file:
            file.write(data)

    Args:
        path: the file to write; an existing one is replaced in one step, or stays as it was.
        mode: 'wb' for bytes, 'w' for UTF-8 text.

    Raises:
        DataError: the file cannot be written, e.g. because the disk is full; nothing was overwritten.
    """
    path = os.path.realpath(path)  # Write through a symbolic link instead of replacing it.
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f'.{name}.{uuid.uuid4().hex[:8]}.tmp')
    try:
        with open(beside, mode, encoding=None if 'b' in mode else 'utf-8', newline=None if 'b' in mode else '\n') as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        if isinstance(error, UserError):
            raise
        raise DataError(_cannot_write(path, error)) from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(beside)


def _cannot_write(path, error):
    """The paragraph for a failed write."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return f'Cannot write {path!r}: there is no folder {folder!r}. Make it, or correct the path.'
    try:
        space = f'{shutil.disk_usage(folder).free / 2 ** 20:.0f} MB are free in {folder!r}.'
    except OSError:
        space = f'The free space in {folder!r} cannot be read.'
    return (f'Cannot write {path!r}: {error.strerror or error}. Nothing was overwritten: an earlier file of that name is as it was. '
            f'{space} Make room or mend the permissions, then run the command again.')
