"""Kinds of files that people have in place of a network snapshot or of data, told by how they
begin.
"""
import codecs
import os

from pgan.archives import kind_of
from pgan.errors import in_short

_BEGINNING = 4096  # bytes that are looked at
_BYTE_ORDER_MARKS = {b'\xef\xbb\xbf': 'utf-8', b'\xff\xfe': 'utf-16', b'\xfe\xff': 'utf-16'}

# Files of data may well begin so; then the library that reads them knows what is wrong.
_OF_DATA = (b'\x89HDF\r\n', b'\x93NUMPY', b'\x1f\x8b')

_MAGIC = [
    (b'version https://git-lfs', 'it is a pointer of Git LFS; fetch the file itself with: git lfs '
                                 'pull'),
    (b'\x89HDF\r\n', 'it is an HDF5 file, as Keras writes weights'),
    (b'\x93NUMPY', 'it is an .npy file of NumPy'),
    (b'\x89PNG', 'it is a PNG picture'),
    (b'\xff\xd8\xff', 'it is a JPEG picture'),
    (b'%PDF', 'it is a PDF document'),
    (b'\xc2\x80', 'it was saved as text in UTF-8, which changes its bytes'),
    (b'\xef\xbf\xbd', 'it was saved as text in UTF-8, which changes its bytes'),
]


def describe(path: str | os.PathLike) -> str | None:
    """What a file is instead of a pickle, e.g. 'it is a web page'.

    Returns:
        A clause for a sentence; None where the beginning tells nothing.
    """
    with open(path, 'rb') as file:
        head = file.read(_BEGINNING)
    if not head:
        return 'it is empty'
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return what
    if head.startswith(b'PK') and b'data.pkl' in head:
        return 'it is a file of PyTorch'
    archive = kind_of(path)
    if archive is not None:
        return f'it is a packed archive ({archive}); unpack it first'
    if head[8:10] == b'{"' and int.from_bytes(head[:8], 'little') < os.path.getsize(path):
        return 'it is a file of safetensors'
    if not any(head):
        return 'it holds only zeros, as a download that has not begun'
    return _describe_text(head)


def why_unreadable(path: str | os.PathLike, error: object) -> str:
    """Why a file of data cannot be read.

    Args:
        path: the file.
        error: of the library that tried.

    Returns:
        A clause for a sentence: what the file is instead, such as a web page, or the error.
    """
    try:
        with open(path, 'rb') as file:
            is_data = file.read(8).startswith(_OF_DATA)
        what = None if is_data else describe(path)
    except OSError:
        what = None
    return what or in_short(error)


def _describe_text(head):
    """What a file of text is; None if its beginning is no text."""
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if head.startswith(mark)),
                    'utf-8')
    try:  # the last character may be cut
        text = codecs.getincrementaldecoder(encoding)().decode(head).lstrip('\ufeff')
    except UnicodeDecodeError:
        return None
    if not all(letter.isprintable() or letter.isspace() for letter in text):
        return None
    words = ' '.join(text.split())
    kind = 'a web page' if 'html' in words[:200].lower() else {
        '<': 'XML', '{': 'JSON', '[': 'JSON'}.get(words[:1], 'text')
    return f'it is {kind} that begins with {words[:60]!r}'
