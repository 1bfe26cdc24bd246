"""Thumbnails of pictures for pages and TensorBoard."""
import base64
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from PIL import Image

THUMBNAIL_SIZE = 960  # longer side of an embedded picture in pixels
MAX_THUMBNAIL_BYTES = 200_000


class Thumbnail(NamedTuple):
    """Small copy of a picture.

    Attributes:
        data: the encoded image.
        size: width and height in pixels.
        kind: 'png' or 'jpeg'.
    """
    data: bytes
    size: tuple[int, int]
    kind: str

    @property
    def url(self) -> str:
        """The picture as a data: URL."""
        return f'data:image/{self.kind};base64,{base64.b64encode(self.data).decode()}'


_KINDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ('png', {}), ('jpeg', {'quality': 85}), ('jpeg', {'quality': 70}), ('jpeg', {'quality': 50}))


def make_thumbnail(path: str, *, size: int = THUMBNAIL_SIZE,
                   most_bytes: int = MAX_THUMBNAIL_BYTES,
                   part: Sequence[int] | None = None) -> Thumbnail:
    """Create a small copy of a picture or of its top left part.

    The copy is a PNG if that is small enough, as for pictures with few colours. Otherwise it is a
    JPEG of quality 85, 70 or 50: the highest that fits, or else 50.

    Args:
        path: path of the picture.
        size: maximum of the longer side in pixels.
        most_bytes: target size of the encoded copy.
        part: width and height of the part in pixels; None = the whole picture.

    Raises:
        OSError, ValueError, DecompressionBombError: the picture cannot be read.
    """
    with Image.open(path) as picture:
        if part is not None:
            picture = picture.crop((0, 0, *part))
        copy = picture.convert('RGB')
        copy.thumbnail((size, size), Image.Resampling.BOX, reducing_gap=2.0)
        for kind, options in _KINDS:
            buffer = io.BytesIO()
            copy.save(buffer, kind, **options)
            if buffer.tell() <= most_bytes:
                break
        return Thumbnail(buffer.getvalue(), copy.size, kind)
