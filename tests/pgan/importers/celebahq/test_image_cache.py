"""The cache of finished images returns exactly what was written."""
import errno
import os
import pathlib

import numpy as np
import pytest

from pgan.errors import DataError
from pgan.importers.celebahq.image_cache import ImageCache
from tests.support.faults import Disk, tree

# --------------------------------------------------------------------------------------------------
# The cache.

def test_a_cache_gives_back_what_it_got_and_nothing_else(in_tmp):
    image, names = np.random.RandomState(0).randint(0, 4081, [3, 4, 4]).astype(
        np.uint16), ['ab' * 16, 'cd' * 16]
    with ImageCache('cache', [3, 4, 4], np.uint16) as cache:
        cache.write(7, names[0], image)
        path = pathlib.Path('cache/00007.image')
        data = path.read_bytes()
        assert cache.has(7, names[0]) and np.array_equal(cache.read(7, names[0]),
                                                         image) and len(data) == cache.file_bytes
        assert not cache.has(7, names[1]) and cache.read(7, names[1]) is None  # of another list
        assert not cache.has(8, names[0]) and cache.read(8, names[0]) is None
        other = ImageCache('cache', [3, 8, 8], np.uint16)
        # of another resolution
        assert not other.has(7, names[0]) and other.read(7, names[0]) is None
        for damaged in (b'', data[:-1], data + b'\0'):
            path.write_bytes(damaged)
            assert not cache.has(7, names[0]) and cache.read(7, names[0]) is None
        for position in (0, 20, 40, len(data) - 1):
            path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1:])
            assert cache.read(7, names[0]) is None
        cache.clear()
    assert not os.path.exists('cache')


@pytest.mark.parametrize('operation', ['open', 'write', 'close', 'rename'])
@pytest.mark.parametrize('cause', [errno.ENOSPC, errno.EACCES])
def test_a_failing_disk_leaves_no_half_of_an_image(operation, cause, in_tmp, monkeypatch):
    with ImageCache('cache', [1, 16, 16], np.uint8) as cache:
        with Disk(in_tmp, operation, 0, cause).installed(monkeypatch) as disk, pytest.raises(
                DataError, match=os.strerror(cause)):
            cache.write(0, 'ab' * 16, np.ones([1, 16, 16], np.uint8))
        assert disk.failed and tree() == {'cache': None}
    with Disk(in_tmp, operation, 0,
              cause).installed(monkeypatch), pytest.raises(DataError, match=os.strerror(cause)):
        with ImageCache('cache', [1, 16, 16], np.uint8) as cache:
            cache.write(0, 'ab' * 16, np.ones([1, 16, 16], np.uint8))
    assert tree() == {}
