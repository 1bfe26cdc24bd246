"""Decoding of images with intact pixels but malformed metadata."""
import io
import os
import struct
import zlib

import numpy as np
import PIL.features
import PIL.Image
import PIL.PngImagePlugin
import pytest

from pgan.data.decoding import opened, upright_pixels
from pgan.errors import DataError
from pgan.importers.lsun import _decode
from tests.support.importer_inputs import encoded

# left red, right blue; orientation 6 moves red to the top
PHOTO = PIL.Image.new('RGB', (32, 16), (200, 30, 30))
PHOTO.paste((30, 30, 200), (16, 0, 32, 16))
SIX = (0x0112, 3, 1, struct.pack('<HH', 6, 0))


def exif(*entries, extra=b''):
    """EXIF data with one directory: entries (tag, type, count, 4 bytes), and the data that they
    point to.
    """
    entries = (SIX, *entries)
    body = b''.join(struct.pack('<HHI', *entry[:3]) + entry[3] for entry in entries)
    return (b'Exif\0\0II' + struct.pack('<HIH', 42, 8, len(entries)) + body + bytes(4) + extra)


FAR = struct.pack('<I', 8 + 2 + 12 * 2 + 4)  # offset of `extra`, after two entries
MALFORMED = {
    'resolution -1/0': exif((0x011a, 10, 1, FAR), extra=struct.pack('<ii', -1, 0)),
    'resolution in words': exif((0x011a, 2, 6, FAR), extra=b'72dpi\0'),
    'resolution nan': exif((0x011a, 12, 1, FAR), extra=struct.pack('<d', float('nan'))),
    'height below zero': exif((0x0101, 9, 1, struct.pack('<i', -5))),
    'width as bytes': exif((0x0100, 7, 4, b'abcd')),
    'bits as bytes': exif((0x0102, 1, 3, b'\x08\x08\x08\0')),
    'camera cut off': exif((0x010f, 2, 200, FAR), extra=b'abc'),
    'GPS beyond the end': exif((0x8825, 4, 1, struct.pack('<I', 9000))),
    'compression in words': exif((0x0103, 2, 4, b'jpg\0')),
    'white point of text': exif((0x013e, 2, 4, b'D50\0')),
}


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP'])
@pytest.mark.parametrize('name', MALFORMED)
@pytest.mark.filterwarnings('ignore::UserWarning')  # of Pillow, about the tag
def test_photographs_with_malformed_exif_data_are_turned(name, kind):
    data = encoded(PHOTO, kind, exif=MALFORMED[name])
    with opened(io.BytesIO(data), name) as image:
        pixels = upright_pixels(image, gray=False)
    assert pixels.shape == (32, 16, 3) and np.abs(pixels[0, 0] - [200.0, 30, 30]).max() < 12
    assert np.abs(pixels[-1, 0] - [30.0, 30, 200]).max() < 12
    entry = _decode('key', data, 16)  # LSUN
    assert entry.shape == (3, 16, 16) and np.abs(entry[:, 0, 0] - [200.0, 30, 30]).max() < 12


@pytest.mark.parametrize('data', [b'Exif\0\0', b'Exif\0\0II*\0', b'Exif\0\0nonsense',
                                  b'Exif\0\0II' + struct.pack('<HI', 42, 9000)])
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_without_an_orientation_that_can_be_read_pixels_stay(data):
    with opened(io.BytesIO(encoded(PHOTO, 'PNG', exif=data)), 'x') as image:
        assert np.array_equal(upright_pixels(image, gray=False), np.asarray(PHOTO))


@pytest.mark.skipif(not PIL.features.check('avif'), reason='this Pillow reads no AVIF')
@pytest.mark.parametrize('place', ['path', 'file'])
@pytest.mark.parametrize(('old', 'new'), [
    (b'MM\0*', b'XXXX'), (b'MM\0*\0\0\0\x08', b'MM\0*\xff\xff\xff\xff'), (b'MM\0*', b'II\0*'),
    (b'\0\0\0\x06Exif', b'\xff\xff\xff\xffExif')])
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_avif_with_malformed_exif_data_is_read(old, new, place, in_tmp):
    """libavif rejects the whole image; its orientation is stored a second time."""
    tag = PIL.Image.Exif()
    tag[0x0112], tag[0x010f] = 6, 'Camera'
    data = encoded(PHOTO, 'AVIF', exif=tag)
    assert data.count(old) == 1
    data = data.replace(old, new)
    (in_tmp / 'x').write_bytes(data)
    with opened('x' if place == 'path' else io.BytesIO(data), 'x') as image:
        pixels = upright_pixels(image, gray=False)
    assert pixels.shape == (32, 16, 3) and np.abs(pixels[0, 0] - [200.0, 30, 30]).max() < 12


def test_what_a_library_says_of_a_damaged_file_is_one_line(monkeypatch):
    def fail(file):
        raise ValueError('first line\nsecond line' + 'x' * 999)
    monkeypatch.setattr(PIL.Image, 'open', fail)
    with pytest.raises(DataError) as caught, opened('a.png', 'a.png'):
        pass
    assert str(caught.value).startswith("the image 'a.png' cannot be read: first line second line")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize('orientation', range(1, 9))
def test_orientations_are_those_of_the_standard(orientation):
    from PIL import ImageOps
    tag = PIL.Image.Exif()
    tag[0x0112] = orientation
    with opened(io.BytesIO(encoded(PHOTO, 'PNG', exif=tag)), 'x') as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
        assert np.array_equal(upright_pixels(image, gray=False), expected)


def with_chunk(kind, content):
    """A PNG with an additional chunk before its pixels."""
    data = encoded(PHOTO, 'PNG')
    chunk = struct.pack('>I', len(content)) + kind + content + struct.pack(
        '>I', zlib.crc32(kind + content))
    return data[:33] + chunk + data[33:]


PROMPT = b'a nice picture, ' * 200000  # 3 MB


@pytest.mark.parametrize('kind, content', [
    (b'iCCP', b'press\0\0' + zlib.compress(os.urandom(100) * 15000)),
    (b'zTXt', b'parameters\0\0' + zlib.compress(PROMPT)),
    (b'iTXt', b'workflow\0\1\0\0\0' + zlib.compress(PROMPT)),
    (b'tEXt', b'prompt\0' + PROMPT * 25)
], ids=['iCCP', 'zTXt', 'iTXt', 'tEXt'])
def test_pngs_with_much_else_in_them_are_read(kind, content):
    own = PIL.PngImagePlugin.MAX_TEXT_CHUNK, PIL.PngImagePlugin.MAX_TEXT_MEMORY
    with opened(io.BytesIO(with_chunk(kind, content)), 'x') as image:
        assert np.array_equal(upright_pixels(image, gray=False), np.asarray(PHOTO))
    assert (PIL.PngImagePlugin.MAX_TEXT_CHUNK, PIL.PngImagePlugin.MAX_TEXT_MEMORY) == own
