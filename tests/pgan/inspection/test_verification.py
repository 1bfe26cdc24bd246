"""The option `info --verify`: every damaged record is found and named."""
import os
import re
import shutil
import struct

import numpy as np
import pytest
import tensorflow as tf

from pgan.data import records
from pgan.inspection import reading
from pgan.inspection.dataset_summary import info
from tests.support.data_inputs import write_dataset
from tests.support.inspection_inputs import flip, make_images, printed, put_shape_first, refused


@pytest.fixture(params=['int', 'float'])
def checked(request, in_tmp, monkeypatch):
    """Data set 'data' of 20 images of 3x16x16, read a few at a time; made from integers, or from
    floats that may exceed 0..255.
    """
    monkeypatch.setattr(reading, 'GROUP_BYTES', 3 * 16 * 16 * 3)
    images = make_images(20, (3, 16, 16))
    if request.param == 'float':
        images = np.random.RandomState(1).uniform(-80, 340, images.shape).astype(np.float32)
    return write_dataset('data', images)


def path_of(level):
    return f'data/data-r{level:02d}.tfrecords'


def test_sound_data_sets_pass(checked, capsys):
    put_shape_first(path_of(4), [3, 4])
    assert printed(capsys, info, 'data', verify=True)[-1] == 'All 60 records of 3 files are intact.'


@pytest.mark.parametrize('level', [2, 3, 4])
@pytest.mark.parametrize('where', ['pixels', 'checksum'])
def test_a_flipped_byte_is_found(level, where, checked, capsys):
    stride = os.path.getsize(path_of(level)) // 20
    for number in (5, 11):
        flip(path_of(level), stride * number + (stride // 2 if where == 'pixels' else stride - 1))
    info('data')
    message = refused(info, 'data', verify=True)
    expected = (f'2 of 20 records cannot be read, namely 5 (at byte {5 * stride}), 11 (at byte '
                f'{11 * stride}).')
    assert f'data-r{level:02d}.tfrecords: {expected}' in message
    assert message.count('records') == 2 and 'sound' not in capsys.readouterr().out


@pytest.mark.parametrize('level', [2, 3])
def test_a_level_of_other_images_is_found(level, checked):
    write_dataset('other', make_images(20, (3, 16, 16), seed=6))
    shutil.copy(f'other/other-r{level:02d}.tfrecords', path_of(level))
    message = refused(info, 'data', verify=True)
    words = (rf'data-r{level:02d}.tfrecords: 20 of 20 records are not the average .* '
             r'namely 0 \(at byte 0\), 1 .* and so on')
    assert re.search(words, message)


def test_a_single_image_in_the_wrong_place_is_found(checked):
    data = open(path_of(2), 'rb').read()
    stride = len(data) // 20
    with open(path_of(2), 'wb') as out:
        out.write(data[:7 * stride] + data[8 * stride:9 * stride] + data[7 * stride:8 * stride] +
                  data[9 * stride:])
    message = refused(info, 'data', verify=True)
    assert ('data-r02.tfrecords: 2 of 20 records are not the average of the image at twice the '
            'resolution') in message
    assert f'namely 7 (at byte {7 * stride}), 8 (' in message


@pytest.mark.parametrize('by, expected', [(1, 0), (2, 1)])
def test_rounding_is_no_fault(by, expected, in_tmp):
    """Rounding before the export may cause differences of 1, but not of 2."""
    write_dataset('data', np.full([4, 1, 8, 8], 100, np.uint8))
    layout = records.RecordLayout((1, 4, 4))
    images = np.full([4, 1, 4, 4], 100, np.uint8)
    images[2, 0, 1, 1] += by
    with open(path_of(2), 'wb') as out:
        out.write(layout.encode(images).tobytes())
    if not expected:
        info('data', verify=True)
    else:
        assert '1 of 4 records are not' in refused(info, 'data', verify=True)


def test_all_damage_is_reported_at_once(checked):
    # The first and last record of a file are read when it is opened.
    for level, number in ((4, 0), (4, 19), (3, 4)):
        flip(path_of(level), os.path.getsize(path_of(level)) // 20 * number + 100)
    message = refused(info, 'data', verify=True)
    assert 'data-r04.tfrecords' in message and 'data-r03.tfrecords: 1 of 20 records' in message


def test_records_of_other_writers_are_checked_too(checked):
    """A single record of another length: all records are indexed."""
    data = open(path_of(2), 'rb').read()
    stride = len(data) // 20
    pixels = records.open_records(path_of(2)).read([0])[0].tobytes()
    features = tf.train.Features(feature={
        'data': tf.train.Feature(bytes_list=tf.train.BytesList(value=[pixels])),
        'file': tf.train.Feature(bytes_list=tf.train.BytesList(value=[b'xyz'])),
        'shape': tf.train.Feature(int64_list=tf.train.Int64List(value=[3, 4, 4]))})
    payload = tf.train.Example(features=features).SerializeToString(deterministic=True)
    first = records.frame_header(len(payload)) + payload + struct.pack(
        '<I', records.masked_crc32c(payload))
    with open(path_of(2), 'wb') as out:
        out.write(first + data[stride:])
    assert isinstance(records.open_records(path_of(2)), records.IndexedFile)
    info('data', verify=True)
    flip(path_of(2), len(first) + 3 * stride + 60)
    assert ('1 of 20 records cannot be read, namely 4 (at byte '
            f'{len(first) + 3 * stride})') in refused(
        info, 'data', verify=True)
