"""Data sets for the inspection commands, and functions that capture their output."""
import struct

import numpy as np
import pytest

from pgan.data import records
from pgan.errors import DataError

NUM = 7


def make_images(count=NUM, shape=(3, 8, 8), seed=5):
    return np.random.RandomState(seed).randint(0, 256, size=[count, *shape], dtype=np.uint8)


def put_shape_first(path, numbers):
    """Rewrite some records of a file with their keys in reverse order."""
    file = records.open_records(path)
    layout = records.RecordLayout(file.shape)
    images = file.read(np.arange(file.num_images))
    rows = layout.encode(images)
    for number in numbers:
        payload = np.concatenate([layout.shape_first[0],
                                  images[number].ravel()])[records.HEADER_BYTES:]
        rows[number, records.HEADER_BYTES:-4] = payload
        rows[number,
             -4:] = np.frombuffer(struct.pack('<I', records.masked_crc32c(payload.tobytes())),
                                  np.uint8)
    with open(path, 'wb') as out:
        out.write(rows.tobytes())


def printed(capsys, function, *args, **kwargs):
    """Output of a command, as lines."""
    capsys.readouterr()
    function(*args, **kwargs)
    captured = capsys.readouterr()
    assert captured.err == ''
    return captured.out.splitlines()


def refused(function, *args, **kwargs):
    """Message of the DataError raised by a command."""
    with pytest.raises(DataError) as error:
        function(*args, **kwargs)
    assert '\n' not in str(error.value)
    return str(error.value)


def flip(path, position):
    """Corrupt one byte of a file."""
    data = bytearray(open(path, 'rb').read())
    data[position] ^= 0x10
    with open(path, 'wb') as out:
        out.write(data)
