"""Archives given in place of their contents: detection, and the error that shows how to unpack."""
import os
import shlex
import tarfile

from pgan.errors import DataError
from pgan.invocation import interpreter

_MAGIC = {b'PK\x03\x04': 'zip', b"7z\xbc\xaf'\x1c": '7z', b'Rar!\x1a\x07': 'rar',
          b'\x1f\x8b': 'gz', b'BZh': 'bz2', b'\xfd7zXZ\x00': 'xz', b'\x28\xb5\x2f\xfd': 'zst'}
# longest first, because the first match is removed to name the output folder
_ENDINGS = {'.tar.gz': 'tar', '.tar.bz2': 'tar', '.tar.xz': 'tar', '.tar.zst': 'tar.zst',
            '.7z.001': '7z', '.zip.001': 'zip', '.tgz': 'tar', '.tbz2': 'tar', '.txz': 'tar',
            '.tar': 'tar', '.zip': 'zip', '.7z': '7z', '.rar': 'rar', '.gz': 'gz', '.bz2': 'bz2',
            '.xz': 'xz', '.zst': 'zst'}
_ONE_FILE = {'gz': ('gunzip', '-k'), 'bz2': ('bunzip2', '-k'), 'xz': ('unxz', '-k'),
             'zst': ('zstd', '-d')}
# of archives that can hold folders
ENDINGS = tuple(ending for ending, kind in _ENDINGS.items() if kind not in _ONE_FILE)


def check_unpacked(path: str | os.PathLike, expected: str, *, folder: bool = True) -> None:
    """Raise DataError if a path given as a data folder or file is a packed archive.

    Args:
        path: path given by the user; it need not exist.
        expected: description of what is expected instead, e.g. 'a folder that holds data.mdb'.
        folder: whether a folder is expected; a single compressed file then does not count as an
            archive.
    """
    kind = kind_of(path)
    if kind is not None and not (folder and kind in _ONE_FILE):
        raise DataError(f'{os.fspath(path)!r} is a packed archive ({kind}). Expected {expected}. '
                        f'Unpack it first: {unpacking(path)}, then pass the unpacked path.')


def unpacking(path: str | os.PathLike) -> str:
    """Command line that unpacks an archive into a folder next to it."""
    path = os.fspath(path)
    kind = kind_of(path) or _by_ending(path) or 'zip'
    ending = next((ending for ending in _ENDINGS if path.lower().endswith(ending)), '')
    folder = path[:len(path) - len(ending)] + ('' if ending else '-unpacked')
    return shlex.join({
        'zip': [interpreter(), '-m', 'zipfile', '-e', path, folder],
        'tar': [interpreter(), '-m', 'tarfile', '-e', path, folder],
        'tar.zst': ['tar', '--zstd', '-xf', path],
        '7z': ['7z', 'x', path, f'-o{folder}'],
        'rar': ['unrar', 'x', path, f'{folder}/'],
    }.get(kind) or [*_ONE_FILE[kind], path])


def kind_of(path: str | os.PathLike) -> str | None:
    """Archive type of a file by its first bytes, e.g. 'zip' or 'tar'; None if it is no archive."""
    if not os.path.isfile(path):
        return None
    try:
        with open(path, 'rb') as file:
            start = file.read(8)
        kind = next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
        # tarfile accepts a file of zeros as an empty archive
        if any(start) and kind in (None, 'gz', 'bz2', 'xz') and tarfile.is_tarfile(path):
            return 'tar'
    except OSError:  # the caller's own read reports why
        return None
    except Exception:  # damaged stream
        pass
    return 'tar.zst' if kind == 'zst' and _by_ending(path) == 'tar.zst' else kind


def _by_ending(path):
    return next((kind for ending, kind in _ENDINGS.items()
                 if os.fspath(path).lower().endswith(ending)), None)
