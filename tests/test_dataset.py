"""Reading data sets: the right pixels, the right labels, the right order, and errors that name what
is wrong.
"""
import os
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import dataset
import dataset_tool
from dataset import SyntheticDataset, TFRecordDataset, load_dataset, shuffled_order
from pgan.data import records
from pgan.errors import ConfigError, DataError
from tests.support.data_inputs import write_dataset
from tests.support.golden import ROOT, load_json

NUM, SHAPE = 23, (3, 16, 16)


def make_images(count=NUM, shape=SHAPE):
    """Images whose very first pixel is their number."""
    images = np.random.RandomState(5).randint(0, 256, size=[count, *shape], dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    return images


def make_labels(count=NUM):
    """Labels whose first component is the number of their image."""
    labels = np.random.RandomState(6).randn(count, 4).astype(np.float32)
    labels[:, 0] = np.arange(count)
    return labels


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A small labelled data set; not to be changed."""
    return write_dataset(tmp_path_factory.mktemp('data') / 'small', make_images(), make_labels())


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the small data set, to be spoilt."""
    return shutil.copytree(folder, tmp_path / 'small')


def numbers(images):
    return images[:, 0, 0, 0].tolist()


# --------------------------------------------------------------------------------------------------
# The record format.


def serialize(image, order):
    """An Example written by protobuf, then put into the given order of keys ('data', 'shape' or
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
    return records._field(1, entries)


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


# --------------------------------------------------------------------------------------------------
# Pixels, labels, order.


def test_attributes(folder):
    dset = TFRecordDataset(folder, max_label_size='full')
    assert (dset.resolution, dset.resolution_log2, dset.shape,
            dset.num_images) == (16, 4, [3, 16, 16], NUM)
    assert (dset.dtype, dset.dynamic_range, dset.label_size,
            dset.label_dtype) == ('uint8', [0, 255], 4, 'float32')


def test_each_lod_is_its_own_file(folder):
    expected = make_images().astype(np.float32)
    for lod in range(3):
        dset = TFRecordDataset(folder, shuffle_mb=0)
        images, labels = dset.get_minibatch_np(NUM, lod + 0.7)
        assert np.array_equal(
            images, np.rint(expected)) and images.dtype == np.uint8 and labels.shape == (NUM, 0)
        size = expected.shape[-1] // 2
        expected = expected.reshape(NUM, 3, size, 2, size, 2).mean(axis=(3, 5))


@pytest.mark.parametrize('max_label_size, size', [('full', 4), (0, 0), (1, 1), (3, 3), (4, 4)])
def test_labels_stay_with_their_images(max_label_size, size, folder):
    dset = TFRecordDataset(folder, max_label_size=max_label_size)
    assert dset.label_size == size
    for _ in range(7):
        images, labels = dset.get_minibatch_np(9)
        assert np.array_equal(labels, make_labels()[numbers(images), :size])
        assert np.array_equal(images, make_images()[numbers(images)])


def test_each_epoch_shows_every_image_once_in_another_order(folder):
    dset = TFRecordDataset(folder)
    epochs = [numbers(dset.get_minibatch_np(NUM)[0]) for _ in range(4)]
    assert all(sorted(epoch) == list(range(NUM)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert epochs == [shuffled_order(NUM, 0, epoch).tolist() for epoch in range(4)]


def test_the_order_is_always_the_same_one():
    # Numbers noted once: checkpoints of earlier versions must find the same order.
    assert shuffled_order(10, 0, 0).tolist() == [6, 1, 0, 5, 3, 8, 7, 9, 2, 4]
    assert shuffled_order(10, 1000, 3).tolist() == [4, 3, 5, 2, 9, 0, 7, 1, 8, 6]


def test_unshuffled_is_the_order_of_the_file(folder):
    dset = TFRecordDataset(folder, shuffle_mb=0)
    assert numbers(dset.get_minibatch_np(2 * NUM + 1)[0]) == [*range(NUM), *range(NUM), 0]


def stream(dset, sizes, lods=(0,)):
    """Image numbers, by their labels, of minibatches of these sizes and lods."""
    return [
        int(label[0]) for i, size in enumerate(sizes)
        for label in dset.get_minibatch_np(size, lods[i % len(lods)])[1]
    ]


def test_the_stream_does_not_depend_on_minibatch_sizes_and_lods(folder):
    streams = [
        stream(TFRecordDataset(folder, max_label_size=1), sizes, lods)
        for sizes, lods in (([1] * 120, [0]), ([120], [2]), ([7, 50, 13, 1, 49], [0, 1, 2]),
                            ([60, 60], [2.9, 0.5]))
    ]
    assert all(other == streams[0] for other in streams)


def test_the_stream_does_not_depend_on_numpys_seed_but_on_its_own(folder):
    def run(seed, **kwargs):
        np.random.seed(seed)
        return stream(TFRecordDataset(folder, max_label_size=1, **kwargs), [50])
    assert run(1) == run(2) != run(1, random_seed=1)


def test_ignored_arguments_change_nothing(folder):
    plain = stream(TFRecordDataset(folder, max_label_size=1), [50])
    assert stream(TFRecordDataset(folder, None, None, 1, True, 17, 0, 0, 8), [50]) == plain


@pytest.mark.parametrize('position', [0, 1, NUM - 1, NUM, 3 * NUM + 5])
def test_restored_streams_go_on_exactly(position, folder):
    dset = TFRecordDataset(folder, max_label_size=1, random_seed=8)
    stream(dset, [position] if position else [])
    state, rest = dset.state(), stream(dset, [5, 40])
    assert all(type(value) in (int, bool) for value in state.values())
    other = TFRecordDataset(folder, max_label_size=1, random_seed=9)
    stream(other, [11])
    other.restore(state)
    assert stream(other, [40, 5]) == rest and other.state() == dset.state()


def test_a_state_of_another_dataset_is_refused(folder, tmp_path):
    other = TFRecordDataset(write_dataset(tmp_path / 'other', make_images(5)))
    with pytest.raises(DataError, match=r'has 5 images.*23'):
        other.restore(TFRecordDataset(folder).state())


def test_without_repeat_the_last_minibatch_is_smaller_and_then_it_stops(folder):
    dset = TFRecordDataset(folder, repeat=False)
    images = [dset.get_minibatch_np(10)[0] for _ in range(3)]
    assert [len(batch) for batch in images] == [10, 10, 3]
    assert sorted(numbers(np.concatenate(images))) == list(range(NUM))
    for _ in range(2):
        with pytest.raises(StopIteration):
            dset.get_minibatch_np(10)


def test_a_smaller_resolution_leaves_the_files_above_alone(folder):
    dset = TFRecordDataset(folder, resolution=8, shuffle_mb=0)
    assert (dset.shape, dset.resolution_log2) == ([3, 8, 8], 3)
    full = TFRecordDataset(folder, shuffle_mb=0)
    assert np.array_equal(dset.get_minibatch_np(NUM, 1)[0], full.get_minibatch_np(NUM, 2)[0])


def test_labels_of_another_file(folder, tmp_path):
    np.save(tmp_path / 'mine.npy', np.ones([NUM, 2], np.float32))
    assert TFRecordDataset(folder, label_file=str(tmp_path / 'mine.npy'),
                           max_label_size='full').label_size == 2
    assert TFRecordDataset(folder, label_file='small-rxx.labels',
                           max_label_size='full').label_size == 4


# --------------------------------------------------------------------------------------------------
# Tensors and random labels.


def test_tensors_are_the_same_stream_as_arrays(folder):
    dset = TFRecordDataset(folder, max_label_size='full')
    plain = TFRecordDataset(folder, max_label_size='full')
    for size, lod in ((4, 0), (30, 1.5), (3, 2)):
        dset.configure(size, lod)
        for tensor, array in zip(dset.get_minibatch_tf(), plain.get_minibatch_np(size, lod)):
            assert tensor.dtype == array.dtype and np.array_equal(tensor.numpy(), array)


def test_a_compiled_function_reads_on_at_each_call(folder):
    dset = TFRecordDataset(folder, max_label_size=1)
    dset.configure(4, 1)
    read = tf.function(dset.get_minibatch_tf)
    results = [read() for _ in range(8)]
    assert results[0][0].shape == (4, 3, 8, 8)
    shown = np.concatenate([labels.numpy()[:, 0] for _, labels in results]).astype(int).tolist()
    assert shown == stream(TFRecordDataset(folder, max_label_size=1), [32])


def test_configure_must_come_first(folder):
    with pytest.raises(ConfigError, match='configure'):
        TFRecordDataset(folder).get_minibatch_tf()


def test_random_labels_follow_numpys_stream(folder):
    dset = TFRecordDataset(folder, max_label_size='full')
    np.random.seed(3)
    labels = dset.get_random_labels_np(50)
    np.random.seed(3)
    assert np.array_equal(labels, make_labels()[np.random.randint(NUM, size=50)])
    assert dset.position == 0


def test_random_label_tensors_are_labels_of_the_set(folder):
    dset = TFRecordDataset(folder, max_label_size='full')
    compiled = tf.function(lambda: dset.get_random_labels_tf(40))
    for labels in (dset.get_random_labels_tf(40), compiled(), compiled()):
        picks = labels.numpy()[:, 0].astype(int)
        assert np.array_equal(labels, make_labels()[picks]) and len(set(picks)) > 5
    assert not np.array_equal(compiled(), compiled())


def test_keyed_random_labels_repeat(folder):
    from tfutil import randomness
    dset = TFRecordDataset(folder, max_label_size='full')
    draws = []
    for step in (1, 1, 2):
        with randomness.keyed(7, step):
            draws.append(dset.get_random_labels_tf(20).numpy())
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


def test_unlabelled_random_labels_are_empty(folder):
    dset = TFRecordDataset(folder)
    assert dset.get_random_labels_np(5).shape == (5,
                                                  0) and dset.get_random_labels_tf(5).shape == (5,
                                                                                                0)


def test_label_less_datasets_have_labels_of_width_zero(tmp_path):
    dset = TFRecordDataset(write_dataset(tmp_path / 'plain', make_images(5)))
    assert dset.label_size == 0 and dset.get_minibatch_np(7)[1].shape == (
        7, 0) and dset.labels.shape == (5, 0)


@pytest.mark.parametrize('max_label_size', ['full', 1, 7])
def test_labels_asked_for_must_be_there(max_label_size, tmp_path):
    plain = write_dataset(tmp_path / 'plain', make_images(5))
    with pytest.raises(
            ConfigError, match=
            rf'max_label_size is {max_label_size!r}.*0 label components: it has no \.labels file'):
        TFRecordDataset(plain, max_label_size=max_label_size)
    assert not dataset.has_labels(plain)


def test_more_components_than_there_are(folder):
    with pytest.raises(ConfigError,
                       match=r'max_label_size is 9, but.*small-rxx\.labels.*have 4 components'):
        TFRecordDataset(folder, max_label_size=9)
    assert dataset.has_labels(folder)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_labels_must_be_finite(value, copy):
    labels = make_labels()
    labels[[7, 12], [3, 1]] = value
    np.save(copy / 'bad.npy', labels)
    with pytest.raises(DataError, match=rf'bad\.npy.*2 of {NUM} rows.*first row 7'):
        TFRecordDataset(copy, label_file='bad.npy', max_label_size='full')
    # the bad components are not used
    assert TFRecordDataset(copy, label_file='bad.npy', max_label_size=1).label_size == 1


# --------------------------------------------------------------------------------------------------
# Looking things up.


def test_images_are_read_by_number_without_moving_the_stream(folder):
    dset = TFRecordDataset(folder, max_label_size=1)
    plain = stream(TFRecordDataset(folder, max_label_size=1), [10])
    assert stream(dset, [5]) == plain[:5]
    picks = [22, 3, 3, 0]
    images = dset.read_images(picks)
    assert images.dtype == np.uint8 and np.array_equal(images, make_images()[picks])
    assert dset.read_images([]).shape == (0, *SHAPE)
    assert stream(dset, [5]) == plain[5:]
    dset.close()
    with pytest.raises(DataError, match='closed'):
        dset.read_images(picks)


def test_all_labels_can_be_looked_at(folder):
    assert np.array_equal(TFRecordDataset(folder, max_label_size='full').labels, make_labels())
    assert np.array_equal(TFRecordDataset(folder, max_label_size=2).labels, make_labels()[:, :2])
    assert not TFRecordDataset(folder, max_label_size='full').labels.flags.writeable
    assert SyntheticDataset(resolution=8, label_size=3).labels is None


# --------------------------------------------------------------------------------------------------
# Mistakes.


@pytest.mark.parametrize(
    'name, command',
    [('cifar10', 'create_cifar10 {} '), ('cifar100', 'create_cifar100 {} '),
     ('svhn', 'create_svhn {} '), ('mnist', 'create_mnist {} '),
     ('mnistrgb', 'create_mnistrgb {} '), ('celeba', 'create_celeba {} '),
     ('celebahq', 'create_celebahq {} CELEBA_DIR DELTAS_DIR'),
     ('lsun-cat-100k', 'create_lsun {} LSUN_LMDB_DIR --resolution 256 --max_images 100000'),
     ('mine', 'create_from_images {} ')])
def test_a_missing_folder_comes_with_the_command_that_makes_it(name, command, in_tmp):
    with pytest.raises(DataError) as info:
        TFRecordDataset(f'datasets/{name}')
    message = str(info.value)
    assert message.startswith(f"dataset 'datasets/{name}' not found.")
    assert f'python dataset_tool.py {command.format(f"datasets/{name}")}' in message
    assert 'bash quickstart.sh' in message
    assert repr(str(in_tmp / 'datasets' / name)) in message
    # It must not send anybody to a command that is not there.
    assert command.split()[0] in [command.function.__name__ for command in dataset_tool.COMMANDS]


def test_a_misspelt_folder_finds_its_neighbour(in_tmp):
    os.makedirs('datasets/cifar10')
    with pytest.raises(DataError, match="Did you mean 'cifar10'"):
        TFRecordDataset('datasets/cifar-10')
    with pytest.raises(DataError, match=r'no \.tfrecords files.*create_cifar10'):
        TFRecordDataset('datasets/cifar10')


def test_a_doubled_data_dir_is_recognised(in_tmp, monkeypatch):
    os.makedirs('datasets/mine')
    with pytest.raises(
            DataError, match=
            r"'datasets/datasets/mine' not found, but 'datasets/mine' is there.*'mine' instead of"):
        load_dataset(data_dir='datasets', tfrecord_dir='datasets/mine')
    (in_tmp / 'elsewhere').mkdir()
    monkeypatch.chdir('elsewhere')
    with pytest.raises(DataError,
                       match=r"relative to data_dir.*: 'mine' instead of 'datasets/mine'"):
        load_dataset(data_dir=str(in_tmp / 'datasets'), tfrecord_dir='datasets/mine')


def test_a_file_is_not_a_data_set(in_tmp):
    (in_tmp / 'mine').write_text('')
    with pytest.raises(DataError, match="'mine' is a file. Expected the folder"):
        TFRecordDataset('mine')


@pytest.mark.parametrize('name', [None, 5, ['a'], b'a', ''])
def test_a_folder_name_that_is_none(name):
    for make in (TFRecordDataset,
                 lambda name: load_dataset(data_dir='datasets', tfrecord_dir=name)):
        with pytest.raises(ConfigError, match='dataset.tfrecord_dir: expected the name of a '
                                              "folder, e.g. 'mnist'. Received: "):
            make(name)


def spoil(path, position=None, byte=None, cut=0, add=b''):
    data = bytearray(path.read_bytes())
    if position is not None:
        data[position] ^= byte
    path.write_bytes(bytes(data[:len(data) - cut]) + add)


def test_a_truncated_file_is_named_with_its_sizes(copy):
    path = copy / 'small-r04.tfrecords'
    stride = path.stat().st_size // NUM
    spoil(path, cut=100)
    with pytest.raises(DataError) as info:
        TFRecordDataset(copy)
    for words in (repr(str(path)), 'truncated', f'{NUM * stride - 100} bytes',
                  f'a multiple of {stride} bytes', f'{NUM - 1} whole records'):
        assert words in str(info.value)


@pytest.mark.parametrize('size', [5, 13, 40])
def test_a_file_cut_within_its_first_record(size, copy):
    path = copy / 'small-r02.tfrecords'
    spoil(path, cut=path.stat().st_size - size)
    with pytest.raises(DataError, match='truncated'):
        TFRecordDataset(copy)


@pytest.mark.parametrize('record', [0, NUM - 1])
def test_damaged_framing_is_found_at_once(record, copy):
    path = copy / 'small-r03.tfrecords'
    spoil(path, record * (path.stat().st_size // NUM) + 2, 0x10)
    with pytest.raises(DataError, match='small-r03.tfrecords.*damaged'):
        TFRecordDataset(copy)


@pytest.mark.parametrize('offset', [0, 9])
@pytest.mark.parametrize('at_a_time', [1, 5, 2048])
def test_damaged_headers_in_the_middle_are_found_at_once(at_a_time, offset, copy, monkeypatch):
    monkeypatch.setattr(records, 'HEADERS_AT_A_TIME', at_a_time)
    path = copy / 'small-r04.tfrecords'
    stride = path.stat().st_size // NUM
    spoil(path, 7 * stride + offset, 0x21)
    with pytest.raises(DataError,
                       match=rf'small-r04.tfrecords.*damaged.*record 7 \(at byte {7 * stride}\)'):
        TFRecordDataset(copy)


def test_headers_there_is_no_time_for_are_checked_when_read(copy, monkeypatch):
    monkeypatch.setattr(records, 'HEADERS_AT_A_TIME', 2)
    monkeypatch.setattr(records, 'HEADER_CHECK_SECONDS', -1)
    path = copy / 'small-r04.tfrecords'
    spoil(path, 7 * (path.stat().st_size // NUM), 0x21)
    dset = TFRecordDataset(copy)
    with pytest.raises(DataError, match='record 7'):
        dset.get_minibatch_np(NUM)


@pytest.mark.parametrize('offset', [13, 20, 100, -5, -1])  # keys, shape, a pixel, checksum
def test_damage_in_the_middle_is_found_when_read(offset, copy):
    path = copy / 'small-r04.tfrecords'
    stride = path.stat().st_size // NUM
    spoil(path, 7 * stride + offset if offset >= 0 else 8 * stride + offset, 0x21)
    dset = TFRecordDataset(copy)
    dset.get_minibatch_np(NUM, lod=1)
    with pytest.raises(DataError, match=rf'small-r04.tfrecords.*record 7 \(at byte {7 * stride}\)'):
        dset.get_minibatch_np(NUM)


def test_checksums_can_be_left_out(copy):
    path = copy / 'small-r04.tfrecords'
    spoil(path, 7 * (path.stat().st_size // NUM) + 100, 0x21)
    images = TFRecordDataset(copy, verify=False, shuffle_mb=0).get_minibatch_np(NUM)[0]
    clean = TFRecordDataset(copy, verify=False, shuffle_mb=0, resolution=8).get_minibatch_np(NUM)[0]
    assert images.shape[0] == clean.shape[0] == NUM
    with pytest.raises(DataError, match='record 7'):
        TFRecordDataset(copy, shuffle_mb=0).get_minibatch_np(NUM)


def test_files_of_something_else_are_refused(copy):
    (copy / 'small-r02.tfrecords').write_bytes(b'')
    with pytest.raises(DataError, match='small-r02.tfrecords.*is empty'):
        TFRecordDataset(copy)
    (copy / 'small-r02.tfrecords').write_bytes(b'something else altogether')
    with pytest.raises(DataError, match='no TFRecord file'):
        TFRecordDataset(copy)
    with tf.io.TFRecordWriter(str(copy / 'small-r02.tfrecords')) as writer:
        writer.write(b'not an example')
    with pytest.raises(DataError, match='not a file of this program'):
        TFRecordDataset(copy)


def test_a_folder_with_the_name_of_a_file(copy):
    (copy / 'small-r02.tfrecords').unlink()
    (copy / 'small-r02.tfrecords').mkdir()
    with pytest.raises(DataError, match=r'small-r02.tfrecords. is a folder'):
        TFRecordDataset(copy)


@pytest.mark.parametrize('level', ['02', '03'])
def test_a_missing_level_is_named(level, copy):
    (copy / f'small-r{level}.tfrecords').unlink()
    size = 1 << int(level)
    with pytest.raises(DataError, match=rf'no file for {size}x{size}.*from 4x4 to 16x16'):
        TFRecordDataset(copy)


def test_levels_must_agree(copy, tmp_path):
    other = write_dataset(tmp_path / 'other', make_images(NUM - 1))
    shutil.copy(f'{other}/other-r03.tfrecords', copy / 'small-r03.tfrecords')
    with pytest.raises(DataError, match=r'r03.tfrecords.*has 22 images.*r02.tfrecords.*has 23'):
        TFRecordDataset(copy)
    shutil.copy(copy / 'small-r04.tfrecords', copy / 'small-r03.tfrecords')
    with pytest.raises(DataError, match='both have images of 16x16'):
        TFRecordDataset(copy)


@pytest.mark.parametrize(
    'labels',
    [np.zeros([NUM - 1, 4], np.float32),
     np.zeros([NUM], np.float32),
     np.zeros([NUM, 2], 'U3')])
def test_labels_that_do_not_fit_are_refused(labels, copy):
    with open(copy / 'small-rxx.labels', 'wb') as file:
        np.save(file, labels)
    with pytest.raises(DataError) as info:
        TFRecordDataset(copy, max_label_size='full')
    assert f'[{NUM}, components]' in str(info.value) and str(list(labels.shape)) in str(info.value)
    assert TFRecordDataset(copy).label_size == 0


def test_labels_that_cannot_be_read_are_refused(copy, folder):
    with open(copy / 'small-rxx.labels', 'wb') as file:
        np.save(file, np.array([{'a': 1}] * NUM), allow_pickle=True)
    np.savez(copy / 'two.npz', a=np.zeros(3))
    (copy / 'text').write_text('1 0\n0 1\n')
    (copy / 'nothing').write_bytes(b'')
    (copy / 'cut').write_bytes((copy / 'small-rxx.labels').read_bytes()[:40])
    for name, words in ((None, 'it holds Python objects'), ('two.npz', 'it is no .npy file'),
                        ('text', 'it is no .npy file'), ('nothing', 'it is no .npy file'),
                        ('cut', 'cannot be read')):
        with pytest.raises(
                DataError,
                match=f'cannot be read: .*{words}' if 'cannot' not in words else words) as info:
            TFRecordDataset(copy, label_file=name, max_label_size=1)
        assert 'pickle' not in str(info.value)
    with pytest.raises(DataError, match="'absent' does not exist"):
        TFRecordDataset(folder, label_file='absent')


@pytest.mark.parametrize('kwargs, words', [({'resolution': 12}, '12'), ({'resolution': 2}, '2'),
                                           ({'max_label_size': -1}, '-1'),
                                           ({'max_label_size': 'all'}, 'all'),
                                           ({'random_seed': -3}, '-3')])
def test_arguments_that_make_no_sense(kwargs, words, folder):
    with pytest.raises(ConfigError, match=f'Received: .*{words}'):
        TFRecordDataset(folder, **kwargs)


def test_a_resolution_that_is_not_there(folder):
    with pytest.raises(DataError, match='no images of 64x64.*largest are 16x16'):
        TFRecordDataset(folder, resolution=64)


@pytest.mark.parametrize('size, lod, words', [(0, 0, 'minibatch size'), (2.5, 0, 'minibatch size'),
                                              (4, 3, r'lod must be from 0.*to 2'),
                                              (4, -0.1, 'lod must be')])
def test_minibatches_that_make_no_sense(size, lod, words, folder):
    with pytest.raises(ConfigError, match=words):
        TFRecordDataset(folder).configure(size, lod)


def test_a_closed_dataset_says_so(folder):
    dset = TFRecordDataset(folder)
    dset.close()
    with pytest.raises(DataError, match='closed'):
        dset.get_minibatch_np(1)


# --------------------------------------------------------------------------------------------------
# SyntheticDataset and load_dataset.


def test_synthetic_images_are_black():
    dset = SyntheticDataset(resolution=32, num_channels=1, label_size=5)
    assert (dset.shape, dset.dynamic_range, dset.label_size, dset.dtype) == ([1, 32, 32], [0, 255],
                                                                             5, 'uint8')
    images, labels = dset.get_minibatch_np(3, 1.4)
    assert images.shape == (3, 1, 16, 16) and images.dtype == np.uint8 and not images.any()
    assert labels.shape == (3, 5) and labels.dtype == np.float32
    dset.configure(2)
    assert [tuple(tensor.shape) for tensor in dset.get_minibatch_tf()] == [(2, 1, 32, 32), (2, 5)]
    assert dset.get_random_labels_np(4).shape == tuple(dset.get_random_labels_tf(4).shape) == (4, 5)
    assert dset.position == 5
    dset.restore({'position': 2})
    assert dset.state() == {'position': 2}


def test_synthetic_defaults():
    dset = SyntheticDataset()
    assert (dset.shape, dset.label_size, dset.label_dtype) == ([3, 1024, 1024], 0, 'float32')


class Striped(SyntheticDataset):
    def _generate_images(self, minibatch_size, lod, shape):
        return tf.fill([minibatch_size, *shape], tf.constant(lod + 7, tf.uint8))


def test_overridden_images_are_used():
    dset = Striped(resolution=16)
    images, _ = dset.get_minibatch_np(2, 1)
    assert isinstance(images, np.ndarray) and images.shape == (2, 3, 8, 8) and (images == 8).all()


class Shifting(SyntheticDataset):
    def _generate_labels(self, minibatch_size):
        return np.random.standard_normal([minibatch_size, self.label_size])


class ShiftingTensors(SyntheticDataset):
    def _generate_labels(self, minibatch_size):
        return tf.random.normal([minibatch_size, self.label_size])


@pytest.mark.parametrize('cls', [Shifting, ShiftingTensors])
def test_a_compiled_function_makes_new_labels_at_each_call(cls):
    dset = cls(resolution=8, label_size=2)
    for size in (4, tf.constant(4)):
        compiled = tf.function(dset.get_random_labels_tf)
        draws = [compiled(size) for _ in range(3)]
        assert all(labels.shape == (4, 2) and labels.dtype == tf.float32 for labels in draws)
        assert len({labels.numpy().tobytes() for labels in draws}) == 3
    assert tf.function(
        lambda: dset.get_random_labels_tf(4)).get_concrete_function().output_shapes == (4, 2)


@pytest.mark.parametrize(
    'kwargs',
    [{'num_channels': 0}, {'num_channels': 2}, {'dtype': 'uint9'}, {'dtype': None},
     {'dtype': 'object'}, {'label_dtype': 'text'}, {'label_size': -1}, {'label_size': 'full'}])
def test_synthetic_options_that_make_no_sense(kwargs):
    (name, value), = kwargs.items()
    with pytest.raises(ConfigError, match=f'^dataset.{name}: .*Received: {value!r}'):
        SyntheticDataset(resolution=8, **kwargs)


@pytest.mark.parametrize('resolution', [0, 2, 48, 'big'])
def test_synthetic_resolutions_are_powers_of_two(resolution):
    with pytest.raises(ConfigError, match=f'power of two.*{resolution!r}'):
        SyntheticDataset(resolution=resolution)


def test_load_dataset_prints_what_the_original_prints(tmp_path, capsys):
    write_dataset(tmp_path / 'gray', make_images(3, (1, 32, 32)))
    dset = load_dataset(data_dir=str(tmp_path), verbose=True, tfrecord_dir='gray')
    assert capsys.readouterr().out.splitlines() == [
        'Streaming data using dataset.TFRecordDataset...', 'Dataset shape = [1, 32, 32]',
        'Dynamic range = [0, 255]', 'Label size    = 0'
    ]
    assert type(dset) is dataset.TFRecordDataset


def test_load_dataset_is_silent_and_takes_absolute_folders(folder, capsys):
    assert load_dataset(data_dir='elsewhere', tfrecord_dir=folder).num_images == NUM
    assert load_dataset(class_name='dataset.SyntheticDataset', data_dir='elsewhere',
                        resolution=8).shape == [3, 8, 8]
    assert capsys.readouterr().out == ''


def test_load_dataset_names_misspelt_and_missing_options(folder):
    with pytest.raises(ConfigError, match="no option 'max_label_sise'. Did you mean "
                                          "'max_label_size'"):
        load_dataset(tfrecord_dir=folder, max_label_sise=1)
    with pytest.raises(ConfigError, match='lack tfrecord_dir'):
        load_dataset()
    with pytest.raises(ConfigError, match='SyntheticDataset'):
        load_dataset(class_name='dataset.SyntheticDatasets')


def test_importing_and_reading_need_no_tensorflow(folder):
    code = (f'import sys, dataset; d = dataset.TFRecordDataset({folder!r}, max_label_size=1); '
            "d.get_minibatch_np(5); sys.exit('tensorflow' in sys.modules)")
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=False).returncode == 0


def test_checksums_are_tensorflows(tmp_path):
    path = str(tmp_path / 'one')
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(b'123456789')
    with open(path, 'rb') as file:
        data = file.read()
    assert data[:12] == records.frame_header(9)
    assert struct.unpack('<I', data[-4:])[0] == records.masked_crc32c(b'123456789')
