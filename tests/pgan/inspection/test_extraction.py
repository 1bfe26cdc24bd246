"""The command `extract`: each image is written under its index."""
import glob
import os

import numpy as np
import PIL.Image
import pytest

from pgan.inspection import reading
from pgan.inspection.extraction import extract
from tests.support.inspection_inputs import NUM, flip, printed, refused


def read_pngs(folder):
    images = [np.asarray(PIL.Image.open(path)) for path in sorted(glob.glob(f'{folder}/*.png'))]
    return np.stack(
        [image[np.newaxis] if image.ndim == 2 else image.transpose(2, 0, 1) for image in images])


@pytest.mark.parametrize('group_bytes', [1, 3 * 64 * 3, 1 << 20])
def test_extract_gives_each_image_under_its_number(group_bytes, mixed, capsys, monkeypatch):
    monkeypatch.setattr(reading, 'GROUP_BYTES', group_bytes)
    lines = printed(capsys, extract, 'mixed', 'out')
    assert lines == [
        'Loading dataset "mixed"', 'Extracting images to "out"', f'Extracted {NUM} images.'
    ]
    assert sorted(os.listdir('out')) == [f'img{number:08d}.png' for number in range(NUM)]
    assert np.array_equal(read_pngs('out'), mixed[0])


def test_extract_writes_what_stands_before_a_damaged_image(mixed):
    stride = os.path.getsize('mixed/mixed-r03.tfrecords') // NUM
    flip('mixed/mixed-r03.tfrecords', 4 * stride + 100)
    assert 'record 4' in refused(extract, 'mixed', 'out')
    assert np.array_equal(read_pngs('out'), mixed[0][:4])


def test_extract_tells_that_it_cannot_write(mixed, monkeypatch):
    def full(*args):
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(PIL.Image.Image, 'save', full)
    assert "/out/img00000000.png': No space left on device" in refused(extract, 'mixed', 'out')
