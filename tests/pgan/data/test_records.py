"""The record format: files of TensorFlow and of the original are read; damage is found and named.
"""
import shutil
import struct

import numpy as np
import pytest
import tensorflow as tf

from dataset import TFRecordDataset
from pgan.data import records
from pgan.errors import DataError
from tests.support.data_inputs import write_dataset
from tests.support.golden import load_json
from tests.support.small_dataset import NUM, make_images

# --------------------------------------------------------------------------------------------------
# The record format.

def serialize(image, order):
    """An Example written by protobuf, reordered to the given order of keys ('data', 'shape' or
    'other', which adds a key).
    """
    feature = {'shape': tf.train.Feature(int64_list=tf.train.Int64List(value=image.shape)),
               'data': tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.tobytes()]))}
    if order == 'other':
        feature['file'] = tf.train.Feature(bytes_list=tf.train.BytesList(
            value=[b'x' * (image[0, 0, 0] % 7)]))
    if order != 'shape':
        return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(
            deterministic=True)
    entries = b''.join(
        tf.train.Features(feature={key: feature[key]}).SerializeToString()
        for key in ('shape', 'data'))
    return b'\x0a' + records.varint(len(entries)) + entries  # field 1 of an Example


def read_with_tensorflow(path):
    features = {
        'shape': tf.io.FixedLenFeature([3], tf.int64), 'data': tf.io.FixedLenFeature([], tf.string)
    }
    for record in tf.data.TFRecordDataset(str(path)):
        example = tf.io.parse_single_example(record, features)
        yield tf.reshape(tf.io.decode_raw(example['data'], tf.uint8), example['shape']).numpy()


@pytest.mark.parametrize(
    'orders',
    [['data'], ['shape'], ['data', 'shape', 'shape'], ['other'], ['data', 'other', 'shape']])
@pytest.mark.parametrize('shape', [(1, 4, 4), (3, 16, 16), (1, 128, 128)])
def test_any_mixture_of_key_orders_reads_as_tensorflow_reads_it(orders, shape, tmp_path):
    images = make_images(11, shape)
    path = str(tmp_path / 'a.tfrecords')
    with tf.io.TFRecordWriter(path) as writer:
        for number, image in enumerate(images):
            writer.write(serialize(image, orders[number % len(orders)]))
    file = records.open_records(path)
    assert type(file) is (records.IndexedFile if 'other' in orders else records.FixedFile)
    picks = np.random.RandomState(0).permutation(11)
    assert np.array_equal(file.read(picks), np.stack(list(read_with_tensorflow(path)))[picks])
    assert np.array_equal(file.read(picks), images[picks])


@pytest.mark.parametrize(
    'case', ['mnist', 'cifar10', 'images-gray-default', 'images-rgb-default', 'images-4x4-default'])
def test_first_records_of_the_original_parse(case):
    golden = next(c for c in load_json('datasets.json')['cases'] if c['case'] == case)
    file = golden['files'][f'{case}-r02.tfrecords']
    payload = bytes.fromhex(file['first_record']['hex_shape_first'])
    shape, pixels = records.parse_example(payload)
    layout = records.RecordLayout(shape)
    assert (list(shape), layout.stride) == (file['shape'], file['size'] // file['records'])
    frame = records.frame_header(len(payload)) + payload + struct.pack(
        '<I', records.masked_crc32c(payload))
    row = np.frombuffer(frame, np.uint8)[np.newaxis]
    images, valid = layout.decode(row)
    assert valid.all() and np.array_equal(images[0].ravel(), pixels)


def test_layouts_are_protobufs_for_all_sizes():
    for shape in [(c, size, size) for c in (1, 3) for size in (4, 8, 64, 128, 256, 1024)]:
        image = np.zeros(shape, np.uint8)
        layout = records.RecordLayout(shape)
        payload = serialize(image, 'data')
        footer = struct.pack('<I', records.masked_crc32c(payload))
        assert layout.encode(
            image[np.newaxis])[0].tobytes() == records.frame_header(len(payload)) + payload + footer
        assert layout.shape_first[0].tobytes()[12:] + image.tobytes() == serialize(image, 'shape')


def test_random_bytes_are_not_taken_for_an_example():
    rs = np.random.RandomState(3)
    good = serialize(make_images(1, (1, 4, 4))[0], 'data')
    for _ in range(300):
        bad = bytearray(good)
        for position in rs.randint(len(good) - 16, size=3):
            bad[position] = rs.randint(256)
        for data in (bytes(bad), bytes(rs.bytes(40)), bytes(bad)[:rs.randint(len(bad))]):
            try:
                shape, pixels = records.parse_example(data)
            except ValueError:
                continue
            assert np.prod(shape) == pixels.size


def spoil(path, position=None, byte=None, cut=0, add=b''):
    data = bytearray(path.read_bytes())
    if position is not None:
        data[position] ^= byte
    path.write_bytes(bytes(data[:len(data) - cut]) + add)


def test_a_truncated_file_is_named_with_its_sizes(small_copy):
    path = small_copy / 'small-r04.tfrecords'
    stride = path.stat().st_size // NUM
    spoil(path, cut=100)
    with pytest.raises(DataError) as info:
        TFRecordDataset(small_copy)
    for words in (repr(str(path)), 'truncated', f'{NUM * stride - 100} bytes',
                  f'a multiple of {stride} bytes', f'{NUM - 1} whole records'):
        assert words in str(info.value)


@pytest.mark.parametrize('size', [5, 13, 40])
def test_a_file_cut_within_its_first_record(size, small_copy):
    path = small_copy / 'small-r02.tfrecords'
    spoil(path, cut=path.stat().st_size - size)
    with pytest.raises(DataError, match='truncated'):
        TFRecordDataset(small_copy)


@pytest.mark.parametrize('record', [0, NUM - 1])
def test_damaged_framing_is_found_at_once(record, small_copy):
    path = small_copy / 'small-r03.tfrecords'
    spoil(path, record * (path.stat().st_size // NUM) + 2, 0x10)
    with pytest.raises(DataError, match='small-r03.tfrecords.*damaged'):
        TFRecordDataset(small_copy)


@pytest.mark.parametrize('offset', [0, 9])
@pytest.mark.parametrize('at_a_time', [1, 5, 2048])
def test_damaged_headers_in_the_middle_are_found_at_once(at_a_time, offset, small_copy,
                                                         monkeypatch):
    monkeypatch.setattr(records, 'HEADERS_AT_A_TIME', at_a_time)
    path = small_copy / 'small-r04.tfrecords'
    stride = path.stat().st_size // NUM
    spoil(path, 7 * stride + offset, 0x21)
    with pytest.raises(DataError,
                       match=rf'small-r04.tfrecords.*damaged.*record 7 \(at byte {7 * stride}\)'):
        TFRecordDataset(small_copy)


def test_headers_there_is_no_time_for_are_checked_when_read(small_copy, monkeypatch):
    monkeypatch.setattr(records, 'HEADERS_AT_A_TIME', 2)
    monkeypatch.setattr(records, 'HEADER_CHECK_SECONDS', -1)
    path = small_copy / 'small-r04.tfrecords'
    spoil(path, 7 * (path.stat().st_size // NUM), 0x21)
    dset = TFRecordDataset(small_copy)
    with pytest.raises(DataError, match='record 7'):
        dset.get_minibatch_np(NUM)


@pytest.mark.parametrize('offset', [13, 20, 100, -5, -1])  # keys, shape, a pixel, checksum
def test_damage_in_the_middle_is_found_when_read(offset, small_copy):
    path = small_copy / 'small-r04.tfrecords'
    stride = path.stat().st_size // NUM
    spoil(path, 7 * stride + offset if offset >= 0 else 8 * stride + offset, 0x21)
    dset = TFRecordDataset(small_copy)
    dset.get_minibatch_np(NUM, lod=1)
    with pytest.raises(DataError, match=rf'small-r04.tfrecords.*record 7 \(at byte {7 * stride}\)'):
        dset.get_minibatch_np(NUM)


def test_checksums_can_be_left_out(small_copy):
    path = small_copy / 'small-r04.tfrecords'
    spoil(path, 7 * (path.stat().st_size // NUM) + 100, 0x21)
    images = TFRecordDataset(small_copy, verify=False, shuffle_mb=0).get_minibatch_np(NUM)[0]
    clean = TFRecordDataset(small_copy, verify=False, shuffle_mb=0,
                            resolution=8).get_minibatch_np(NUM)[0]
    assert images.shape[0] == clean.shape[0] == NUM
    with pytest.raises(DataError, match='record 7'):
        TFRecordDataset(small_copy, shuffle_mb=0).get_minibatch_np(NUM)


def test_files_of_something_else_are_refused(small_copy):
    (small_copy / 'small-r02.tfrecords').write_bytes(b'')
    with pytest.raises(DataError, match='small-r02.tfrecords.*is empty'):
        TFRecordDataset(small_copy)
    (small_copy / 'small-r02.tfrecords').write_bytes(b'something else altogether')
    with pytest.raises(DataError, match='not a TFRecord file'):
        TFRecordDataset(small_copy)
    with tf.io.TFRecordWriter(str(small_copy / 'small-r02.tfrecords')) as writer:
        writer.write(b'not an example')
    with pytest.raises(DataError, match='not written by this program'):
        TFRecordDataset(small_copy)


def test_a_folder_with_the_name_of_a_file(small_copy):
    (small_copy / 'small-r02.tfrecords').unlink()
    (small_copy / 'small-r02.tfrecords').mkdir()
    with pytest.raises(DataError, match=r'small-r02.tfrecords. is a folder'):
        TFRecordDataset(small_copy)


@pytest.mark.parametrize('level', ['02', '03'])
def test_a_missing_level_is_named(level, small_copy):
    (small_copy / f'small-r{level}.tfrecords').unlink()
    size = 1 << int(level)
    with pytest.raises(DataError, match=rf'no file for {size}x{size}.*from 4x4 to 16x16'):
        TFRecordDataset(small_copy)


def test_levels_must_agree(small_copy, tmp_path):
    other = write_dataset(tmp_path / 'other', make_images(NUM - 1))
    shutil.copy(f'{other}/other-r03.tfrecords', small_copy / 'small-r03.tfrecords')
    with pytest.raises(DataError, match=r'r03.tfrecords.*has 22 images.*r02.tfrecords.*has 23'):
        TFRecordDataset(small_copy)
    shutil.copy(small_copy / 'small-r04.tfrecords', small_copy / 'small-r03.tfrecords')
    with pytest.raises(DataError, match='both have images of 16x16'):
        TFRecordDataset(small_copy)


def test_checksums_are_tensorflows(tmp_path):
    path = str(tmp_path / 'one')
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(b'123456789')
    with open(path, 'rb') as file:
        data = file.read()
    assert data[:12] == records.frame_header(9)
    assert struct.unpack('<I', data[-4:])[0] == records.masked_crc32c(b'123456789')
