"""Finding the images of a folder tree, by file extension or first bytes."""
import collections
import functools
import os
from typing import NamedTuple

from PIL import Image

from pgan.archives import ENDINGS as ARCHIVES
from pgan.archives import check_unpacked, unpacking
from pgan.errors import DataError
from pgan.files import nearest_path
from pgan.invocation import command

# Folders and files created by cameras, network storage, archives and operating systems, in lower
# case. Names that begin with a dot are ignored as well.
MACHINE_FOLDERS = frozenset((
    '#recycle', '#snapshot', '$recycle.bin', '@__thumb', '@eadir', '@recently-snapshot', '@recycle',
    '@sharebin', '@tmp', '__macosx', '__pycache__', 'found.000', 'lost+found', 'lost.dir',
    'network trash folder', 'recycled', 'recycler', 'system volume information', 'temporary items'))
MACHINE_FILES = frozenset((
    'desktop.ini', 'ehthumbs.db', 'ehthumbs_vista.db', 'icon\r', 'picasa.ini', 'pspbrwse.jbf',
    'thumbs.db', 'zbthumbnail.info'))
MACHINE_ENDINGS = ('.lrdata', '.lrv', '.thm', '~')

# Formats that Pillow recognizes but cannot read as images.
_NO_PICTURES = ('BUFR', 'GRIB', 'HDF5', 'IPTC', 'MPEG')
RAW_ENDINGS = ('.3fr', '.arw', '.cr2', '.cr3', '.crw', '.dng', '.erf', '.iiq', '.kdc', '.mrw',
               '.nef', '.nrw', '.orf', '.pef', '.raf', '.raw', '.rw2', '.sr2', '.srf', '.srw',
               '.x3f')
_UNREADABLE = {'.heic': 'HEIC', '.heif': 'HEIC', '.hif': 'HEIC', '.jxl': 'JPEG XL', '.svg': 'SVG',
               **dict.fromkeys(RAW_ENDINGS, "raw data of a camera's sensor")}
_MAGIC = (b'\xff\xd8\xff', b'\x89PNG', b'GIF8', b'II*\x00', b'MM\x00*', b'8BPS',
          b'\x00\x00\x00\x0cjP  ', b'\xff\x0a')
_HEIC_BRANDS = (b'heic', b'heix', b'hevc', b'heim', b'mif1', b'msf1')
LISTED = 4  # extensions or names listed in messages


class Pictures(NamedTuple):
    """Images of a folder tree.

    Attributes:
        paths: sorted paths of the images.
        folders: folders that may hold images, the root folder first.
    """
    paths: list[str]
    folders: list[str]


def find_pictures(image_dir: str | os.PathLike) -> Pictures:
    """Find the images in a folder and its sub-folders; print a line that counts ignored files.

    Raises:
        DataError: there is no folder or no image, or the folder is a data set.
    """
    image_dir = os.fspath(image_dir)
    _check_folder(image_dir)
    found = _walk(image_dir)
    raws = _beside_pictures(found.paths)
    paths = sorted(set(found.paths).difference(raws))
    if any(path.endswith('.tfrecords') for path in found.others):
        raise DataError(f'{image_dir!r} holds .tfrecords files: it is a data set already. Use it '
                        f'as it is; {command("dataset_tool.py", "extract", image_dir)} FOLDER '
                        'converts it to image files.')
    if not paths:
        raise DataError(f'No input images found in {image_dir!r}. Expected a folder of PNG or '
                        f'JPEG files.{_instead(found.others)}')
    _print_left_out(found.others, raws, found.hidden)
    return Pictures(paths, found.folders)


class _Tree(NamedTuple):
    """Images, folders, other files, and hidden or machine-made names, in the order found."""
    paths: list[str]
    folders: list[str]
    others: list[str]
    hidden: list[str]


def _walk(image_dir):
    tree, seen = _Tree([], [], [], []), set()
    for folder, below, names in os.walk(image_dir, followlinks=True, onerror=_cannot_list):
        if os.path.realpath(folder) in seen:  # links may form a cycle
            below.clear()
            continue
        seen.add(os.path.realpath(folder))
        tree.folders.append(folder)
        machine = {name for name in (*below, *names) if is_machine_made(name)}
        tree.hidden.extend(sorted(machine))
        below[:] = [name for name in below if name not in machine]
        for name in names:
            if name not in machine:
                path = os.path.join(folder, name)
                (tree.paths if is_picture(path) else tree.others).append(path)
    return tree


def _check_folder(image_dir):
    check_unpacked(image_dir, 'the folder that holds the images')
    folder = os.path.dirname(image_dir) or os.curdir
    if os.path.isfile(image_dir):
        raise DataError(f'the image folder {image_dir!r} is a file. Expected the folder that holds '
                        f'the images: {folder!r}?')
    if not os.path.exists(image_dir):
        hint = (f' Give the folder itself: {folder!r}.' if set('*?') & set(image_dir) else
                nearest_path(image_dir, folders_only=True))
        raise DataError(f'the image folder {image_dir!r} does not exist.{hint}')


def _cannot_list(error):
    raise DataError(f'the folder {error.filename!r} cannot be read: {error.strerror}. Check its '
                    'permissions.') from error


def is_machine_made(name: str) -> bool:
    """Whether a file or folder of this name is hidden or machine-made."""
    lower = name.lower()
    return (lower.startswith('.') or lower.endswith(MACHINE_ENDINGS) or lower in MACHINE_FOLDERS
            or lower in MACHINE_FILES)


@functools.cache
def _picture_endings():
    Image.init()
    return frozenset(_UNREADABLE).union(
        ending for ending, kind in Image.registered_extensions().items()
        if kind in Image.OPEN and kind not in _NO_PICTURES)


def is_picture(path: str) -> bool:
    """Whether a file is an image (intact or not) by its extension or its first bytes."""
    if _ending(path) in _picture_endings():
        return True
    start = _start(path)
    return start.startswith(_MAGIC) or _is_webp(start) or _heic_or_avif(start)


def is_raw(path: str) -> bool:
    """Whether a file is a camera's raw image. Pillow reads some as TIFF, and gets a thumbnail."""
    return _ending(path) in RAW_ENDINGS


def explained(path: str, message: str) -> str:
    """Message about an unreadable image: names the format if that is the reason, else `message`."""
    start = _start(path)
    is_heic = start[4:8] == b'ftyp' and start[8:12] in _HEIC_BRANDS  # regardless of the extension
    kind = 'HEIC' if is_heic else _UNREADABLE.get(_ending(path))
    if kind is None:
        return message
    return f'{path!r} is {kind}, which this program does not read; convert it to JPEG or PNG.'


def _ending(path):
    return os.path.splitext(path)[1].lower()


def _start(path):
    if not os.path.isfile(path):  # opening a named pipe would block
        return b''
    try:
        with open(path, 'rb') as file:
            return file.read(12)
    except OSError:
        return b''


def _is_webp(start):
    return start[:4] == b'RIFF' and start[8:12] == b'WEBP'


def _heic_or_avif(start):
    return start[4:8] == b'ftyp' and start[8:12] in (*_HEIC_BRANDS, b'avif', b'avis')


def _beside_pictures(paths):
    """Raw files that have an image of the same name, as cameras write them."""
    raws = [path for path in paths if is_raw(path)]
    if not raws:
        return []
    stems = {
        os.path.splitext(path)[0].lower() for path in paths if not is_raw(path)
    }
    return [path for path in raws if os.path.splitext(path)[0].lower() in stems]


def _instead(others):
    """End of a message: what the folder contains instead of images."""
    archives = [path for path in others if path.lower().endswith(ARCHIVES)]
    if archives:
        return f' Unpack {archives[0]!r} first: {unpacking(archives[0])}'
    return f' Found {len(others)} files that are not images: {_endings(others)}.' if others else ''


def _print_left_out(others, raws, hidden):
    parts = []
    if others:
        kind = 'file that is not an image' if len(others) == 1 else 'files that are not images'
        parts.append(f'{len(others)} {kind} ({_endings(others)})')
    if raws:
        parts.append(f'{len(raws)} with raw data next to an image ({_endings(raws)})')
    if hidden:
        names = list(dict.fromkeys(hidden))
        more = ', ...' if len(names) > LISTED else ''
        parts.append(f'{len(hidden)} hidden or machine-made ({", ".join(names[:LISTED])}{more})')
    if parts:
        print(f'Left out: {"; ".join(parts)}')


def _endings(paths):
    """'.txt 10, .json 2': counts of extensions, the most frequent first."""
    endings = sorted(_ending(path) or 'without extension' for path in paths)
    counts = collections.Counter(endings).most_common()
    more = ', ...' if len(counts) > LISTED else ''
    return ', '.join(f'{ending} {count}' for ending, count in counts[:LISTED]) + more
