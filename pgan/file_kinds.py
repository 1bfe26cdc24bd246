"""File types given by mistake instead of a network snapshot or data, recognised by their first
bytes.
"""
import codecs
import os

from pgan.archives import kind_of
from pgan.errors import in_short

_BEGINNING = 4096  # bytes inspected
_BYTE_ORDER_MARKS = {b'\xef\xbb\xbf': 'utf-8', b'\xff\xfe': 'utf-16', b'\xfe\xff': 'utf-16'}

# Data files may legitimately start with these; the library that reads them reports what is wrong.
_OF_DATA = (b'\x89HDF\r\n', b'\x93NUMPY', b'\x1f\x8b')

_MAGIC = [
    (b'version https://git-lfs', 'it is a Git LFS pointer; fetch the file itself with: git lfs '
                                 'pull'),
    (b'\x89HDF\r\n', 'it is an HDF5 file, as Keras writes weights'),
    (b'\x93NUMPY', 'it is a NumPy .npy file'),
    (b'\x89PNG', 'it is a PNG image'),
    (b'\xff\xd8\xff', 'it is a JPEG image'),
    (b'%PDF', 'it is a PDF document'),
    (b'\xc2\x80', 'it was saved as text in UTF-8, which changes its bytes'),
    (b'\xef\xbf\xbd', 'it was saved as text in UTF-8, which changes its bytes'),
]


def describe(path: str | os.PathLike) -> str | None:
    """Describe a file that is not a pickle, e.g. 'it is a web page'.

    Returns:
        A clause for use in a sentence; None if the first bytes are not recognised.
    """
    with open(path, 'rb') as file:
        head = file.read(_BEGINNING)
    if not head:
        return 'it is empty'
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return what
    if head.startswith(b'PK') and b'data.pkl' in head:
        return 'it is a PyTorch file'
    archive = kind_of(path)
    if archive is not None:
        return f'it is a packed archive ({archive}); unpack it first'
    if head[8:10] == b'{"' and int.from_bytes(head[:8], 'little') < os.path.getsize(path):
        return 'it is a safetensors file'
    if not any(head):
        return 'it contains only zeros, like a download that never started'
    if head.startswith(b'\x80') and head.count(b'\r\n') == head.count(b'\n') > 3:
        return ('it was probably transferred as text, which changes line ends; transfer it in '
                'binary mode')
    return _describe_text(head)


def why_unreadable(path: str | os.PathLike, error: object) -> str:
    """Explain why a data file cannot be read.

    Args:
        path: the file.
        error: exception of the library that tried to read it.

    Returns:
        A clause for use in a sentence: the actual file type, e.g. a web page, or else the error.
    """
    try:
        with open(path, 'rb') as file:
            is_data = file.read(8).startswith(_OF_DATA)
        what = None if is_data else describe(path)
    except OSError:
        what = None
    return what or in_short(error)


def _describe_text(head):
    """Describe a text file; None if its first bytes are not text."""
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if head.startswith(mark)),
                    'utf-8')
    try:  # incremental, because the last character may be truncated
        text = codecs.getincrementaldecoder(encoding)().decode(head).lstrip('\ufeff')
    except UnicodeDecodeError:
        return None
    if not all(letter.isprintable() or letter.isspace() for letter in text):
        return None
    words = ' '.join(text.split())
    kind = 'a web page' if 'html' in words[:200].lower() else {
        '<': 'XML', '{': 'JSON', '[': 'JSON'}.get(words[:1], 'text')
    return f'it is {kind} starting with {words[:60]!r}'
