"""Atomic writes, .npz files with verified checksums, paths and folders, and JSON."""
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

LONGEST_DESC = 240  # bytes; with the run's number, a folder's name stays within 255
_MOST_NEIGHBOURS = 20_000  # folder entries searched for a misspelt name
# Python represents non-UTF-8 bytes in file names by surrogates, which UTF-8 cannot encode.
_TEXT: Any = dict(encoding='utf-8', errors='backslashreplace', newline='\n')


def expanded(path: str | os.PathLike) -> str:
    """Expand a leading `~` or `~name` in a user's path to the home folder, as a shell does.

    Configuration files and programs started without a shell pass the `~` unchanged.
    """
    return os.path.expanduser(os.fspath(path))


def escaped(text: str) -> str:
    """Escape what UTF-8 cannot encode: non-UTF-8 bytes of file names become `\\udce9`, as in
    log.txt.
    """
    return text.encode('utf-8', 'backslashreplace').decode('utf-8')


def expect_utf8(where: str, path: str) -> None:
    """Raise ConfigError for a path that is not UTF-8: TensorFlow cannot write to it.

    Args:
        where: name of the option, for the message.
        path: its value.
    """
    expect(escaped(path) == path, where, 'a name in UTF-8, because TensorFlow writes to no other: '
           'rename the folder or choose another', path)


def short_name(name: str, longest: int = 120) -> str:
    """Shorten a file or folder name by cutting out its middle, and escape what is not UTF-8.

    Args:
        name: e.g. the name of a network's file.
        longest: maximum size in bytes. File systems allow 255, including any suffix added later.
    """
    content = escaped(name).encode()
    if len(content) <= longest:
        return content.decode()
    half = (longest - 3) // 2
    return f'{content[:half].decode(errors="ignore")}...{content[-half:].decode(errors="ignore")}'


def nearest_path(path: str | os.PathLike, folders_only: bool = False) -> str:
    """Return ' Did you mean ...?' with the result of `nearest_existing`, or ''."""
    found = nearest_existing(path, folders_only)
    return f' Did you mean {found!r}?' if found else ''


def nearest_existing(path: str | os.PathLike, folders_only: bool = False) -> str | None:
    """Existing path most similar to a missing one, or None.

    One misspelt component is recognised, including that of a parent folder.

    Args:
        path: path as typed by the user; the result has the same form.
        folders_only: ignore files.
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
    """Open a file for writing that replaces `path` only once everything has been written.

        with atomic_write('network-final.pkl') as file:
            file.write(data)

    Args:
        path: the file to write. An existing file is either replaced in one step or unchanged.
        mode: 'wb' for bytes, 'w' for UTF-8 text. Non-UTF-8 bytes of file names are escaped as in
            log.txt.
        durable: sync to disk, so that even a power cut cannot leave a partial file. Use False for
            thousands of small files.

    Yields:
        The open file, binary or text.

    Raises:
        DataError: the file cannot be written, e.g. because the disk is full. Nothing has been
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
    """Temporary path for a library that writes a file or folder itself.

    The result is moved to `path` when the block ends without an error.

        with atomic_path('results/video.mp4', ending='.mp4') as temporary:
            write(temporary)

    Args:
        path: the file or folder to write. An existing one is either replaced or unchanged.
        ending: suffix of the temporary path, for libraries that infer the format from it.
        durable: sync everything to disk.
        make_error: function: `path`, OSError of the final move -> exception to raise. Default:
            `cannot_write`.

    Yields:
        The temporary path, in the same folder. It does not exist yet.
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
    """Rename a new file or folder to `path`, replacing what is there.

    If any step fails, the old file or folder is restored.

    Args:
        new: the new file or folder, in the same folder as `path`.
        path: its final path.
        check: called with the temporary path of the old folder, before `new` is renamed; may raise.
        remove_old: called with that path at the end. Default: `remove`.
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
    """Remove a file or folder if it exists; ignore errors."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)


def atomic_append(path: str | os.PathLike, text: str) -> None:
    """Append UTF-8 text to a file atomically; create the file if it does not exist.

    Raises:
        DataError: the file cannot be written; it is unchanged.
    """
    before = b''
    with contextlib.suppress(FileNotFoundError), open(path, 'rb') as file:
        before = file.read()
    with atomic_write(path) as file:
        file.write(before + escaped(text).encode())


def make_folder(path: str | os.PathLike) -> None:
    """Create a folder and its parents if they do not exist.

    Raises:
        DataError: the folder cannot be created.
    """
    path = expanded(path)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise DataError(f'Cannot create the folder {os.path.realpath(path)!r}: '
                        f'{error.strerror or error}. Free some space or fix the permissions of its '
                        'parent folder, then run the command again.') from error


def sync(path: str | os.PathLike) -> None:
    """Sync a file, or every file of a folder, to disk."""
    if os.path.isdir(path):
        for entry in os.scandir(os.fspath(path)):
            sync(entry.path)
    else:
        with open(path, 'rb+') as file:
            os.fsync(file.fileno())


def cannot_write(path: str | os.PathLike, error: OSError) -> DataError:
    """The DataError for a file that could not be written because of an OSError."""
    return DataError(_paragraph(os.path.realpath(path), error))


def _paragraph(path, error):
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return (f'Cannot write {path!r}: there is no folder {folder!r}. Create it, or correct the '
                'path.')
    try:
        space = f'{shutil.disk_usage(folder).free / 2 ** 20:.0f} MB are free in {folder!r}.'
    except OSError:
        space = f'The free space in {folder!r} is unknown.'
    return (f'Cannot write {path!r}: {error.strerror or error}. Nothing was overwritten: an '
            f'existing file of that name is unchanged. {space} Free some space or fix the '
            'permissions, then run the command again.')


def read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Arrays of an .npz file, with all checksums verified.

    Returns:
        dict of names to arrays.

    Raises:
        Exception: almost any type, if the file cannot be read or is damaged.
    """
    # NumPy reads as many bytes as an array's header declares. With a damaged header it may stop
    # before the end of the member, where zipfile compares the checksum.
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f'the checksum of {damaged!r} is wrong')
    with np.load(path, allow_pickle=False) as data:
        return dict(data)


def to_json(value: object, indent: int | None = None) -> str:
    """Serialize any value to strictly valid JSON.

    NaN and infinities become null; `json.dumps` would write them as bare words, which are not JSON.
    NumPy scalars and arrays become numbers and lists, and other types strings.

    Args:
        value: dicts and lists of anything.
        indent: spaces per level; None = one line.
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
