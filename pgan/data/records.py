"""TFRecord files, which store one resolution of a data set, with random access to the images.

A file is a sequence of TFRecord frames (uint64 length, uint32 masked crc of the length, payload,
uint32 masked crc of the payload). Each payload is an uncompressed tf.train.Example: a map with
`shape` (int64 [3], CHW) and `data` (raw uint8 pixels). All images of a file have the same shape, so
record i starts at i * stride. Protobuf does not define the order of map entries: in each record,
either key may come first.
"""
import math
import os
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import google_crc32c
import numpy as np

from pgan.errors import DataError

BytesLike: TypeAlias = bytes | memoryview | np.ndarray
# Bytes before and after the pixels of a record, for one order of its two keys: uint8 arrays.
KeyOrder: TypeAlias = tuple[np.ndarray, np.ndarray]

HEADER_BYTES = 12  # uint64 length and its uint32 crc
FOOTER_BYTES = 4  # uint32 crc of the payload
FRAME = struct.Struct('<QI')
LONGEST_VARINT = 10  # bytes of a 64-bit number in protobuf's wire format
# Opening a file checks the frame headers of its records, in groups of HEADERS_AT_A_TIME spread over
# the file, for at most HEADER_CHECK_SECONDS. From memory or an SSD that is enough for any data set;
# on a slow disk the remaining ones are checked when they are read.
HEADERS_AT_A_TIME = 2048
HEADER_CHECK_SECONDS = 1.0

# --------------------------------------------------------------------------------------------------
# Checksums and protobuf wire format.


def masked_crc32c(data: BytesLike) -> int:
    """Checksum of TFRecord frames: CRC-32C, rotated and offset."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def checksums(rows: np.ndarray) -> np.ndarray:
    """Checksum of each row of a uint8 array [n, size], as four bytes: uint8 [n, 4]."""
    crcs = np.fromiter((masked_crc32c(row) for row in rows), '<u4', len(rows))
    return crcs.view(np.uint8).reshape(-1, FOOTER_BYTES)


def frame_header(payload_size: int) -> bytes:
    """The 12 bytes before a payload of the given size."""
    length = struct.pack('<Q', payload_size)
    return length + struct.pack('<I', masked_crc32c(length))


def varint(value: int) -> bytes:
    """Encode a non-negative integer as a protobuf varint: 7 bits per byte, low bits first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: memoryview, pos: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 7 * LONGEST_VARINT, 7):
        byte = data[pos]
        value |= (byte & 0x7F) << shift
        pos += 1
        if byte < 0x80:
            return value, pos
    raise ValueError('an endless varint')  # as in white pixels that are misread as a number


def _field_header(number: int, size: int) -> bytes:
    """Tag and length of a length-delimited field."""
    return bytes([number << 3 | 2]) + varint(size)


def _field(number: int, payload: bytes) -> bytes:
    return _field_header(number, len(payload)) + payload


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Iterate over (number, value) of a message's fields.

    A value is an int for a varint, and a memoryview otherwise.
    """
    pos = 0
    while pos < len(data):
        tag, pos = _read_varint(data, pos)
        size, pos = _read_varint(data, pos)
        if tag & 7 == 0:
            yield tag >> 3, size
        elif tag & 7 == 2 and pos + size <= len(data):
            yield tag >> 3, data[pos:pos + size]
            pos += size
        else:
            raise ValueError('not the wire format of an Example')


def _int64_list(data):
    """Values of an Int64List, packed or not."""
    values = []
    for _, value in _fields(data):
        if isinstance(value, int):
            values.append(value)
            continue
        pos = 0
        while pos < len(value):
            number, pos = _read_varint(value, pos)
            values.append(number)
    return values


def parse_example(payload: BytesLike) -> tuple[tuple[int, int, int], np.ndarray]:
    """Parse a serialized Example with keys in any order; other keys are ignored.

    Args:
        payload: bytes-like.

    Returns:
        (shape, pixels): a tuple of three ints (C, H, W), and a flat uint8 array [C * H * W].

    Raises:
        ValueError: the payload is not an Example, lacks `shape` or `data`, or the two disagree.
    """
    found = {}
    try:
        for _, features in _fields(memoryview(payload)):  # type: ignore[arg-type]
            for _, entry in _fields(features):
                key, feature = (dict(_fields(entry))[n] for n in (1, 2))
                found[key.tobytes()] = dict(_fields(feature))
        shape = tuple(_int64_list(found[b'shape'][3]))
        pixels = np.frombuffer(dict(_fields(found[b'data'][1]))[1], np.uint8)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError("not an Example with the features 'shape' and 'data'") from error
    if len(shape) != 3 or 0 in shape or math.prod(shape) != pixels.size:
        raise ValueError(f'the shape {str(list(shape)):.100} does not fit {pixels.size} bytes of '
                         'pixels')
    return shape, pixels


# --------------------------------------------------------------------------------------------------
# Fixed layout.


def _key_order(before: bytes, after: bytes) -> KeyOrder:
    return np.frombuffer(before, np.uint8), np.frombuffer(after, np.uint8)


class RecordLayout:
    """Byte layout of the records of one image shape, for both orders of the two keys.

    Args:
        shape: C, H, W.

    Attributes:
        shape: C, H, W.
        stride: bytes from one record to the next, including framing; the same for both orders.
    """

    def __init__(self, shape: Sequence[int]):
        self.shape = tuple(int(size) for size in shape)
        self.num_pixels = math.prod(self.shape)
        shape_list = _field(3, _field(1, b''.join(varint(size) for size in self.shape)))
        shape_entry = _field(1, _field(1, b'shape') + _field(2, shape_list))
        data_entry = self._before_pixels(b'', 1)  # BytesList.value
        data_entry = self._before_pixels(data_entry, 1)  # Feature.bytes_list
        # Key and value of the map entry.
        data_entry = _field(1, b'data') + self._before_pixels(data_entry, 2)
        data_entry = self._before_pixels(data_entry, 1)  # Features.feature
        entries_size = len(shape_entry) + len(data_entry) + self.num_pixels
        start = _field_header(1, entries_size)  # Example.features
        self.payload_size = len(start) + entries_size
        self.stride = HEADER_BYTES + self.payload_size + FOOTER_BYTES
        header = frame_header(self.payload_size)
        self.data_first = _key_order(header + start + data_entry, shape_entry)
        self.shape_first = _key_order(header + start + shape_entry + data_entry, b'')

    def _before_pixels(self, inner: bytes, number: int) -> bytes:
        return _field_header(number, len(inner) + self.num_pixels) + inner

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Encode images as records, including framing, with `data` first.

        Args:
            images: uint8 [n, C, H, W].

        Returns:
            uint8 [n, stride]
        """
        before, after = self.data_first
        end = before.size + self.num_pixels
        rows = np.empty([len(images), self.stride], np.uint8)
        rows[:, :before.size] = before
        rows[:, before.size:end] = images.reshape(len(images), self.num_pixels)
        rows[:, end:end + after.size] = after
        rows[:, -FOOTER_BYTES:] = checksums(rows[:, HEADER_BYTES:-FOOTER_BYTES])
        return rows

    def decode(self, rows: np.ndarray, verify: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Extract the pixels of records; in each of them, either key may come first.

        Args:
            rows: uint8 [n, stride], whole records.
            verify: check the checksums.

        Returns:
            (images, valid): uint8 [n, C, H, W], and bool [n], False where a record does not have
            this layout or its checksum is wrong.
        """
        data_first = self._matches(rows, self.data_first)
        shape_first = self._matches(rows, self.shape_first)
        if data_first.all():
            pixels = self._pixels(rows, self.data_first)
        elif shape_first.all():
            pixels = self._pixels(rows, self.shape_first)
        else:
            pixels = np.where(data_first[:, np.newaxis], self._pixels(rows, self.data_first),
                              self._pixels(rows, self.shape_first))
        valid = data_first | shape_first
        if verify:
            expected = checksums(rows[:, HEADER_BYTES:-FOOTER_BYTES])
            valid &= (rows[:, -FOOTER_BYTES:] == expected).all(axis=1)
        return np.ascontiguousarray(pixels).reshape(-1, *self.shape), valid

    def _pixels(self, rows: np.ndarray, order: KeyOrder) -> np.ndarray:
        before, _ = order
        return rows[:, before.size:before.size + self.num_pixels]

    def _matches(self, rows: np.ndarray, order: KeyOrder) -> np.ndarray:
        before, after = order
        end = before.size + self.num_pixels
        begins = (rows[:, :before.size] == before).all(axis=1)
        ends = (rows[:, end:end + after.size] == after).all(axis=1)
        return begins & ends


# --------------------------------------------------------------------------------------------------
# Files.


class FixedFile:
    """A file whose records all have the same layout. Reading a memory-mapped image takes one copy.

    Args:
        path: path of the file.
        data: bytes of the file, uint8.
        layout: layout of the records.
    """

    def __init__(self, path: str, data: np.ndarray, layout: RecordLayout):
        self.path = path
        self.shape = layout.shape
        self._layout = layout
        self._rows = data.reshape(-1, layout.stride)
        self.num_images = len(self._rows)

    def headers_fit(self) -> bool:
        """Whether all records begin with the layout's frame header.

        Stops after HEADER_CHECK_SECONDS, with a sample spread over the file.
        """
        expected = np.frombuffer(frame_header(self._layout.payload_size), np.uint8)
        deadline = time.monotonic() + HEADER_CHECK_SECONDS
        step = -(-self.num_images // HEADERS_AT_A_TIME)
        for start in range(step):
            if not (self._rows[start::step, :HEADER_BYTES] == expected).all():
                return False
            if time.monotonic() > deadline:
                break
        return True

    def read(self, indices: Sequence[int] | np.ndarray, verify: bool = True) -> np.ndarray:
        """Read images by record number: uint8 [n, C, H, W].

        Args:
            indices: record numbers.
            verify: check the checksums.

        Raises:
            DataError: a record is damaged.
        """
        images, valid = self._layout.decode(self._rows[indices], verify)
        if not valid.all():
            bad = int(np.asarray(indices)[~valid][0])
            raise DataError(f'{self.path!r} is damaged: record {bad} (at byte '
                            f'{bad * self._layout.stride}) has a wrong checksum, or is not an '
                            f'image of shape {list(self.shape)} like the first one. Create the '
                            'data set again.')
        return images

    def position(self, number: int) -> int:
        """The byte at which a record starts."""
        return number * self._layout.stride

    def damaged(self, start: int, stop: int) -> list[int]:
        """Numbers of the records from `start` to `stop` - 1 that cannot be read."""
        _, valid = self._layout.decode(self._rows[start:stop])
        return [start + int(index) for index in np.flatnonzero(~valid)]


class IndexedFile:
    """A file whose records differ in length (other keys, another writer), with a table of offsets.

    Args:
        path: path of the file.
        data: bytes of the file, uint8.
    """

    def __init__(self, path: str, data: np.ndarray):
        self.path = path
        self._data = data
        self._offsets, self._sizes = _frame_table(path, data)
        self.num_images = len(self._offsets)
        self.shape = self._parse(0)[0]

    def read(self, indices: Sequence[int] | np.ndarray, verify: bool = True) -> np.ndarray:
        """Read images by record number: uint8 [n, C, H, W].

        Checksums are always checked, because a damaged record may parse as something else.

        Raises:
            DataError: a record is damaged, or its shape differs from that of the first.
        """
        del verify
        images = np.empty([len(indices), *self.shape], np.uint8)
        for image, index in zip(images, indices):
            shape, pixels = self._parse(index)
            if shape != self.shape:
                raise DataError(f'record {index} of {self.path!r} has the shape {list(shape)}, '
                                f'expected {list(self.shape)} like the first one. All images of a '
                                'file must have one shape; create the data set again.')
            image[...] = pixels.reshape(shape)
        return images

    def position(self, number: int) -> int:
        """The byte at which a record starts."""
        return int(self._offsets[number]) - HEADER_BYTES

    def damaged(self, start: int, stop: int) -> list[int]:
        """Numbers of the records from `start` to `stop` - 1 that cannot be read."""
        numbers = range(start, min(stop, self.num_images))
        return [number for number in numbers if not self._is_sound(number)]

    def _is_sound(self, index: int) -> bool:
        try:
            return self._parse(index)[0] == self.shape
        except DataError:
            return False

    def _parse(self, index: int) -> tuple[tuple[int, int, int], np.ndarray]:
        start, size = self._offsets[index], self._sizes[index]
        try:
            return parse_example(_checked_payload(self._data, start, size))
        except ValueError as error:
            raise DataError(f'record {index} of {self.path!r} (at byte {start}) cannot be read: '
                            f"{error}. Expected a tf.train.Example with 'shape' and 'data' as "
                            'dataset_tool.py writes it; create the data set again.') from error


def open_records(path: str) -> FixedFile | IndexedFile:
    """Open one .tfrecords file for random access.

    Does the cheap checks: size, first and last record, and headers.

    Raises:
        DataError: the file is empty, truncated, damaged, or of another kind.
    """
    if os.path.isdir(path):
        raise DataError(f'{path!r} is a folder. Expected a .tfrecords file; move the folder, or '
                        'create the data set again.')
    try:
        if os.path.getsize(path) == 0:
            raise DataError(f'{path!r} is empty. Create the data set again.')
        # A plain array over the mapping: indexing an np.memmap is several times slower.
        data = np.asarray(np.memmap(path, np.uint8, mode='r'))
    except DataError:
        raise
    except OSError as error:
        raise DataError(f'{path!r} cannot be read: {error.strerror or error}. Check its '
                        'permissions, or create the data set again.') from error
    layout = RecordLayout(_first_shape(path, data))
    if data.size % layout.stride:
        return IndexedFile(path, data)
    _, valid = layout.decode(data[np.newaxis, :layout.stride])
    if not valid.all():
        return IndexedFile(path, data)
    file = FixedFile(path, data, layout)
    if not file.headers_fit():
        return IndexedFile(path, data)  # reads header by header, and reports a damaged one
    file.read([0, file.num_images - 1])
    return file


def _first_shape(path, data):
    size = _payload_size(path, data, 0, 0)
    try:
        payload = _checked_payload(data, HEADER_BYTES, size)
    except ValueError as error:
        raise DataError(f'{path!r} is damaged: record 0 (at byte 0) cannot be read: {error}. Copy '
                        'or create the data set again.') from error
    try:
        return parse_example(payload)[0]
    except ValueError as error:
        raise DataError(f'{path!r} was not written by this program. Its first record cannot be '
                        f'parsed: {error}. Expected a tf.train.Example of uint8 pixels; create the '
                        'data set with dataset_tool.py.') from error


def _checked_payload(data, start, size):
    """Return the payload at a position.

    Raises:
        ValueError: its checksum is wrong, so it must not be parsed.
    """
    end = start + size
    payload = data[start:end]
    if data[end:end + FOOTER_BYTES].tobytes() != struct.pack('<I', masked_crc32c(payload)):
        raise ValueError('its checksum is wrong')
    return payload


def _payload_size(path: str, data: np.ndarray, position: int, number: int) -> int:
    """Check the frame header at a position and return the size of the payload after it."""
    if position + HEADER_BYTES > data.size:
        raise _truncated(path, data, position, number)
    header = data[position:position + HEADER_BYTES].tobytes()
    size, crc = FRAME.unpack(header)
    if crc != masked_crc32c(header[:8]):
        raise DataError(f'{path!r} is damaged or not a TFRecord file: the header of record '
                        f'{number} (at byte {position}) has a wrong checksum. Create the data set '
                        'again.')
    if position + HEADER_BYTES + size + FOOTER_BYTES > data.size:
        raise _truncated(path, data, position, number)
    return size


def _truncated(path, data, position, number):
    stride = ''
    if number and position % number == 0:
        stride = f'a multiple of {position // number} bytes, '
    return DataError(f'{path!r} is truncated: it has {data.size} bytes, expected {stride}{number} '
                     f'whole records ({position} bytes), but {data.size - position} bytes of '
                     'another follow. Copy or create the data set again.')


def _frame_table(path: str, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and sizes of all payloads: two int64 arrays."""
    offsets: list[int] = []
    sizes: list[int] = []
    position = 0
    while position < data.size:
        size = _payload_size(path, data, position, len(offsets))
        offsets.append(position + HEADER_BYTES)
        sizes.append(size)
        position += HEADER_BYTES + size + FOOTER_BYTES
    return np.array(offsets, np.int64), np.array(sizes, np.int64)
