"""Files that appear whole or not at all, arrays that are read whole or not at all, and JSON."""
import contextlib
import itertools
import json
import math
import os
import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np

from pgan.errors import DataError, UserError, expect, nearest_names

LONGEST_DESC = 240  # bytes; with the number, a folder's name has at most 255
_MOST_NEIGHBOURS = 20_000  # entries of a folder among which a misspelt name is looked for
# Python stands for bytes in names of files that are not UTF-8 with characters that UTF-8 lacks.
_TEXT: Any = dict(encoding='utf-8', errors='backslashreplace', newline='\n')


def expanded(path: str | os.PathLike) -> str:
    """A user's path with the home folder in place of a leading `~` or `~name`, as a shell has it.

    Configuration files and programs that are started without a shell pass the `~` as it is.
    """
    return os.path.expanduser(os.fspath(path))


def escaped(text: str) -> str:
    """Text that UTF-8 can hold: bytes of file names that are not UTF-8 become `\\udce9`, as in
    log.txt.
    """
    return text.encode('utf-8', 'backslashreplace').decode('utf-8')


def expect_utf8(where: str, path: str) -> None:
    """Raise ConfigError for a path that TensorFlow cannot write to.

    Args:
        where: the option, for the message.
        path: its value.
    """
    expect(escaped(path) == path, where, 'a name in UTF-8, as TensorFlow writes to no other: '
           'rename the folder, or choose another', path)


def short_name(name: str, longest: int = 120) -> str:
    """A name made from other names, for a file or folder: what is too long loses its middle, and
    what is not UTF-8 is escaped.

    Args:
        name: e.g. the name of a network's file.
        longest: bytes. File systems take 255, with the endings that are added.
    """
    content = escaped(name).encode()
    if len(content) <= longest:
        return content.decode()
    half = (longest - 3) // 2
    return f'{content[:half].decode(errors="ignore")}...{content[-half:].decode(errors="ignore")}'


def nearest_path(path: str | os.PathLike, folders_only: bool = False) -> str:
    """Return ' Did you mean ...?' with what `nearest_existing` finds, or ''."""
    found = nearest_existing(path, folders_only)
    return f' Did you mean {found!r}?' if found else ''


def nearest_existing(path: str | os.PathLike, folders_only: bool = False) -> str | None:
    """The existing path that is nearest to one that does not exist, or None. One misspelt name in
    it is recognised, also that of a folder above.

    Args:
        path: as a user has typed it; the answer has the same form.
        folders_only: leave files out.
    """
    above, rest = expanded(path).rstrip(os.sep), list[str]()
    while above and not os.path.exists(above):
        above, name = os.path.split(above)
        rest.insert(0, name)
        if not name:  # the root
            return None
    if not rest or not os.path.isdir(above or os.curdir):
        return None
    try:
        with os.scandir(above or os.curdir) as entries:
            there = [entry.name for entry in itertools.islice(entries, _MOST_NEIGHBOURS)]
    except OSError:
        return None
    for name in nearest_names(rest[0], sorted(there)):
        found = os.path.join(above, name, *rest[1:])
        if os.path.isdir(found) if folders_only else os.path.exists(found):
            return found
    return None


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike, mode: str = 'wb', *,
                 durable: bool = True) -> Iterator[IO[Any]]:
    """Open a file for writing that takes its place only when everything has been written.

        with atomic_write('network-final.pkl') as file:
            file.write(data)

    Args:
        path: the file to write; an existing one is replaced in one step, or stays as it was.
        mode: 'wb' for bytes, 'w' for UTF-8 text. Bytes of file names that are not UTF-8 are escaped
            as in log.txt.
        durable: wait until it is on the disk, so that not even a power cut leaves half of it. False
            for thousands of small files.

    Yields:
        The open file, of bytes or of text.

    Raises:
        DataError: the file cannot be written, e.g. because the disk is full; nothing was
            overwritten.
    """
    try:
        with atomic_path(path, durable=False) as temporary, open(
                temporary, mode, **({} if 'b' in mode else _TEXT)) as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        if isinstance(error, UserError):
            raise
        raise cannot_write(path, error) from error


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike, ending: str = '', durable: bool = True,
                make_error: Callable[[str, OSError], Exception] | None = None) -> Iterator[str]:
    """Temporary path for a library that writes a file or folder by itself. What it has written
    takes its place when the block ends without an error.

        with atomic_path('results/video.mp4', ending='.mp4') as temporary:
            write(temporary)

    Args:
        path: the file or folder to write. An existing one is replaced, or stays as it was.
        ending: of the temporary path, for libraries that choose a format by it.
        durable: wait until everything is on the disk.
        make_error: returns the exception for `path` and the OSError of a last step that fails.
            Default: `cannot_write`.

    Yields:
        The temporary path, in the same folder. Nothing is there yet.
    """
    # Write through a symbolic link instead of replacing it.
    path = os.path.realpath(expanded(path))
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f'.{name}.{uuid.uuid4().hex[:8]}.tmp{ending}')
    try:
        yield temporary
        try:
            if durable:
                sync(temporary)
            move_into_place(temporary, path)
        except OSError as error:
            raise (make_error or cannot_write)(path, error) from error
    finally:
        remove(temporary)


def move_into_place(new: str, path: str | os.PathLike, check: Callable[[str], None] | None = None,
                    remove_old: Callable[[str], None] | None = None) -> None:
    """Rename a new file or folder to `path`. What was there is replaced; if anything fails, it is
    put back.

    Args:
        new: the file or folder, in the same folder as `path`.
        path: its final path.
        check: called with the path of the old folder, after that has been moved out of the way and
            before `new` is renamed; may raise.
        remove_old: called with the same path at the end. Default: `remove`.
    """
    if not os.path.isdir(new) or not os.path.lexists(path):
        os.replace(new, path)
        return
    old = f'{new}-old'
    try:
        os.rename(path, old)
        if check is not None:
            check(old)
        os.rename(new, path)
    except BaseException:
        if os.path.isdir(old) and not os.path.lexists(path):
            os.rename(old, path)
        raise
    with contextlib.suppress(OSError):
        (remove_old or remove)(old)


def remove(path: str | os.PathLike) -> None:
    """Remove a file or a folder if it exists, as far as the system permits."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)


def atomic_append(path: str | os.PathLike, text: str) -> None:
    """Append UTF-8 text to a file, all of it or nothing; create the file if there is none.

    Raises:
        DataError: the file cannot be written; it is as it was.
    """
    before = b''
    with contextlib.suppress(FileNotFoundError), open(path, 'rb') as file:
        before = file.read()
    with atomic_write(path) as file:
        file.write(before + escaped(text).encode())


def make_folder(path: str | os.PathLike) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises:
        DataError: it cannot be made.
    """
    path = expanded(path)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise DataError(f'Cannot make the folder {os.path.realpath(path)!r}: '
                        f'{error.strerror or error}. Make room or mend the permissions of the '
                        'folder above it, then run the command again.') from error


def sync(path: str | os.PathLike) -> None:
    """Wait until a file, or each file of a folder, is on the disk."""
    if os.path.isdir(path):
        for entry in os.scandir(os.fspath(path)):
            sync(entry.path)
    else:
        with open(path, 'rb+') as file:
            os.fsync(file.fileno())


def cannot_write(path: str | os.PathLike, error: OSError) -> DataError:
    """The DataError for a file that an OSError has kept from being written."""
    return DataError(_paragraph(os.path.realpath(path), error))


def _paragraph(path, error):
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return (f'Cannot write {path!r}: there is no folder {folder!r}. Make it, or correct the '
                'path.')
    try:
        space = f'{shutil.disk_usage(folder).free / 2 ** 20:.0f} MB are free in {folder!r}.'
    except OSError:
        space = f'The free space in {folder!r} cannot be read.'
    return (f'Cannot write {path!r}: {error.strerror or error}. Nothing was overwritten: an '
            f'earlier file of that name is as it was. {space} Make room or mend the permissions, '
            'then run the command again.')


def read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, all of whose checksums are right.

    Returns:
        dict of names to arrays.

    Raises:
        Exception: of almost any kind, if the file cannot be read or is damaged.
    """
    # NumPy reads as far as an array's header says. Damage there may let it stop before the end,
    # where checksums are compared.
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f'the checksum of {damaged!r} is wrong')
    with np.load(path, allow_pickle=False) as data:
        return dict(data)


def to_json(value: object, indent: int | None = None) -> str:
    """JSON for any value, which every program can read.

    Python's own writes NaN and infinities as bare words, which are not JSON; here they are null.
    NumPy's numbers and arrays become numbers and lists; what JSON has no word for becomes a string.

    Args:
        value: dicts and lists of anything.
        indent: spaces of each level; None = one line.
    """
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def _plain(value):
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
