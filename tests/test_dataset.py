"""Reading data sets: pixels, labels and order are correct, and errors name the cause."""
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import dataset
import dataset_tool
from dataset import SyntheticDataset, TFRecordDataset, load_dataset, shuffled_order
from pgan.errors import ConfigError, DataError
from tests.support.data_inputs import write_dataset
from tests.support.golden import ROOT
from tests.support.small_dataset import NUM, SHAPE, make_images, make_labels


def numbers(images):
    return images[:, 0, 0, 0].tolist()


# --------------------------------------------------------------------------------------------------
# Pixels, labels, order.

def test_attributes(small):
    dset = TFRecordDataset(small, max_label_size='full')
    assert (dset.resolution, dset.resolution_log2, dset.shape,
            dset.num_images) == (16, 4, [3, 16, 16], NUM)
    assert (dset.dtype, dset.dynamic_range, dset.label_size,
            dset.label_dtype) == ('uint8', [0, 255], 4, 'float32')


def test_each_lod_is_its_own_file(small):
    expected = make_images().astype(np.float32)
    for lod in range(3):
        dset = TFRecordDataset(small, shuffle_mb=0)
        images, labels = dset.get_minibatch_np(NUM, lod + 0.7)
        assert np.array_equal(
            images, np.rint(expected)) and images.dtype == np.uint8 and labels.shape == (NUM, 0)
        size = expected.shape[-1] // 2
        expected = expected.reshape(NUM, 3, size, 2, size, 2).mean(axis=(3, 5))


@pytest.mark.parametrize('max_label_size, size', [('full', 4), (0, 0), (1, 1), (3, 3), (4, 4)])
def test_labels_stay_with_their_images(max_label_size, size, small):
    dset = TFRecordDataset(small, max_label_size=max_label_size)
    assert dset.label_size == size
    for _ in range(7):
        images, labels = dset.get_minibatch_np(9)
        assert np.array_equal(labels, make_labels()[numbers(images), :size])
        assert np.array_equal(images, make_images()[numbers(images)])


def test_each_epoch_shows_every_image_once_in_another_order(small):
    dset = TFRecordDataset(small)
    epochs = [numbers(dset.get_minibatch_np(NUM)[0]) for _ in range(4)]
    assert all(sorted(epoch) == list(range(NUM)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert epochs == [shuffled_order(NUM, 0, epoch).tolist() for epoch in range(4)]


def test_the_order_is_always_the_same_one():
    # Recorded numbers: checkpoints of earlier versions must get the same order.
    assert shuffled_order(10, 0, 0).tolist() == [6, 1, 0, 5, 3, 8, 7, 9, 2, 4]
    assert shuffled_order(10, 1000, 3).tolist() == [4, 3, 5, 2, 9, 0, 7, 1, 8, 6]


def test_unshuffled_is_the_order_of_the_file(small):
    dset = TFRecordDataset(small, shuffle_mb=0)
    assert numbers(dset.get_minibatch_np(2 * NUM + 1)[0]) == [*range(NUM), *range(NUM), 0]


def stream(dset, sizes, lods=(0,)):
    """Image numbers, by their labels, of minibatches of the given sizes and lods."""
    return [
        int(label[0]) for i, size in enumerate(sizes)
        for label in dset.get_minibatch_np(size, lods[i % len(lods)])[1]
    ]


def test_the_stream_does_not_depend_on_minibatch_sizes_and_lods(small):
    streams = [
        stream(TFRecordDataset(small, max_label_size=1), sizes, lods)
        for sizes, lods in (([1] * 120, [0]), ([120], [2]), ([7, 50, 13, 1, 49], [0, 1, 2]),
                            ([60, 60], [2.9, 0.5]))
    ]
    assert all(other == streams[0] for other in streams)


def test_the_stream_does_not_depend_on_numpys_seed_but_on_its_own(small):
    def run(seed, **kwargs):
        np.random.seed(seed)
        return stream(TFRecordDataset(small, max_label_size=1, **kwargs), [50])
    assert run(1) == run(2) != run(1, random_seed=1)


def test_ignored_arguments_change_nothing(small):
    plain = stream(TFRecordDataset(small, max_label_size=1), [50])
    assert stream(TFRecordDataset(small, None, None, 1, True, 17, 0, 0, 8), [50]) == plain


@pytest.mark.parametrize('position', [0, 1, NUM - 1, NUM, 3 * NUM + 5])
def test_restored_streams_go_on_exactly(position, small):
    dset = TFRecordDataset(small, max_label_size=1, random_seed=8)
    stream(dset, [position] if position else [])
    state, rest = dset.state(), stream(dset, [5, 40])
    assert all(type(value) in (int, bool) for value in state.values())
    other = TFRecordDataset(small, max_label_size=1, random_seed=9)
    stream(other, [11])
    other.restore(state)
    assert stream(other, [40, 5]) == rest and other.state() == dset.state()


def test_a_state_of_another_dataset_is_refused(small, tmp_path):
    other = TFRecordDataset(write_dataset(tmp_path / 'other', make_images(5)))
    with pytest.raises(DataError, match=r'has 5 images.*23'):
        other.restore(TFRecordDataset(small).state())


def test_without_repeat_the_last_minibatch_is_smaller_and_then_it_stops(small):
    dset = TFRecordDataset(small, repeat=False)
    images = [dset.get_minibatch_np(10)[0] for _ in range(3)]
    assert [len(batch) for batch in images] == [10, 10, 3]
    assert sorted(numbers(np.concatenate(images))) == list(range(NUM))
    for _ in range(2):
        with pytest.raises(StopIteration):
            dset.get_minibatch_np(10)


def test_a_smaller_resolution_leaves_the_files_above_alone(small):
    dset = TFRecordDataset(small, resolution=8, shuffle_mb=0)
    assert (dset.shape, dset.resolution_log2) == ([3, 8, 8], 3)
    full = TFRecordDataset(small, shuffle_mb=0)
    assert np.array_equal(dset.get_minibatch_np(NUM, 1)[0], full.get_minibatch_np(NUM, 2)[0])


# --------------------------------------------------------------------------------------------------
# Tensors and random labels.

def test_tensors_are_the_same_stream_as_arrays(small):
    dset = TFRecordDataset(small, max_label_size='full')
    plain = TFRecordDataset(small, max_label_size='full')
    for size, lod in ((4, 0), (30, 1.5), (3, 2)):
        dset.configure(size, lod)
        for tensor, array in zip(dset.get_minibatch_tf(), plain.get_minibatch_np(size, lod)):
            assert tensor.dtype == array.dtype and np.array_equal(tensor.numpy(), array)


def test_a_compiled_function_reads_on_at_each_call(small):
    dset = TFRecordDataset(small, max_label_size=1)
    dset.configure(4, 1)
    read = tf.function(dset.get_minibatch_tf)
    results = [read() for _ in range(8)]
    assert results[0][0].shape == (4, 3, 8, 8)
    shown = np.concatenate([labels.numpy()[:, 0] for _, labels in results]).astype(int).tolist()
    assert shown == stream(TFRecordDataset(small, max_label_size=1), [32])


def test_configure_must_come_first(small):
    with pytest.raises(ConfigError, match='configure'):
        TFRecordDataset(small).get_minibatch_tf()


def test_random_labels_follow_numpys_stream(small):
    dset = TFRecordDataset(small, max_label_size='full')
    np.random.seed(3)
    labels = dset.get_random_labels_np(50)
    np.random.seed(3)
    assert np.array_equal(labels, make_labels()[np.random.randint(NUM, size=50)])
    assert dset.position == 0


def test_random_label_tensors_are_labels_of_the_set(small):
    dset = TFRecordDataset(small, max_label_size='full')
    compiled = tf.function(lambda: dset.get_random_labels_tf(40))
    for labels in (dset.get_random_labels_tf(40), compiled(), compiled()):
        picks = labels.numpy()[:, 0].astype(int)
        assert np.array_equal(labels, make_labels()[picks]) and len(set(picks)) > 5
    assert not np.array_equal(compiled(), compiled())


def test_keyed_random_labels_repeat(small):
    from tfutil import randomness
    dset = TFRecordDataset(small, max_label_size='full')
    draws = []
    for step in (1, 1, 2):
        with randomness.keyed(7, step):
            draws.append(dset.get_random_labels_tf(20).numpy())
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


def test_unlabelled_random_labels_are_empty(small):
    dset = TFRecordDataset(small)
    assert dset.get_random_labels_np(5).shape == (5,
                                                  0) and dset.get_random_labels_tf(5).shape == (5,
                                                                                                0)


def test_label_less_datasets_have_labels_of_width_zero(tmp_path):
    dset = TFRecordDataset(write_dataset(tmp_path / 'plain', make_images(5)))
    assert dset.label_size == 0 and dset.get_minibatch_np(7)[1].shape == (
        7, 0) and dset.labels.shape == (5, 0)


# --------------------------------------------------------------------------------------------------
# Looking things up.

def test_images_are_read_by_number_without_moving_the_stream(small):
    dset = TFRecordDataset(small, max_label_size=1)
    plain = stream(TFRecordDataset(small, max_label_size=1), [10])
    assert stream(dset, [5]) == plain[:5]
    picks = [22, 3, 3, 0]
    images = dset.read_images(picks)
    assert images.dtype == np.uint8 and np.array_equal(images, make_images()[picks])
    assert dset.read_images([]).shape == (0, *SHAPE)
    assert stream(dset, [5]) == plain[5:]
    dset.close()
    with pytest.raises(DataError, match='closed'):
        dset.read_images(picks)


def test_all_labels_can_be_looked_at(small):
    assert np.array_equal(TFRecordDataset(small, max_label_size='full').labels, make_labels())
    assert np.array_equal(TFRecordDataset(small, max_label_size=2).labels, make_labels()[:, :2])
    assert not TFRecordDataset(small, max_label_size='full').labels.flags.writeable
    assert SyntheticDataset(resolution=8, label_size=3).labels is None


# --------------------------------------------------------------------------------------------------
# Held-out images.

@pytest.mark.parametrize('validation, count', [(0.2, 5), (7, 7), (0.03, 1), (NUM - 1, NUM - 1)])
def test_held_out_images_are_never_trained_on(validation, count, small):
    """Every image is in exactly one of the two parts, with its label. Each epoch of a part shows
    all of its images.
    """
    training, held_out = (TFRecordDataset(small, max_label_size='full', validation=validation,
                                          part=part) for part in ('training', 'validation'))
    assert (training.num_images, held_out.num_images) == (NUM - count, count)
    found = []
    for dset in (training, held_out):
        images, labels = dset.get_minibatch_np(dset.num_images)
        assert numbers(images) == labels[:, 0].astype(int).tolist()
        again, _ = dset.get_minibatch_np(dset.num_images)
        assert sorted(numbers(again)) == sorted(numbers(images))
        by_number = dset.read_images(range(dset.num_images))
        assert numbers(by_number) == dset.labels[:, 0].astype(int).tolist()
        assert set(dset.get_random_labels_np(50)[:, 0]) <= set(dset.labels[:, 0])
        random_labels = dset.get_random_labels_tf(50).numpy()[:, 0]
        assert set(random_labels) <= set(dset.labels[:, 0])
        found += numbers(images)
    assert sorted(found) == list(range(NUM))


def test_which_images_are_held_out_does_not_depend_on_the_run(small):
    parts = [sorted(numbers(TFRecordDataset(small, validation=5, part='validation', **options)
                            .read_images(range(5)))) for options in
             (dict(), dict(random_seed=9), dict(shuffle_mb=0), dict(resolution=16))]
    assert all(part == parts[0] for part in parts)


def test_without_validation_nothing_is_held_out(small):
    plain, none = TFRecordDataset(small), TFRecordDataset(small, validation=0)
    np.testing.assert_array_equal(plain.get_minibatch_np(40)[0], none.get_minibatch_np(40)[0])
    with pytest.raises(ConfigError, match='dataset.validation = 0 of 23 images holds out 0'):
        TFRecordDataset(small, part='validation')


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
    assert f'/dataset_tool.py {command.format(f"datasets/{name}")}' in message
    assert re.search(r'any data: bash \S*quickstart.sh$', message)
    assert repr(str(in_tmp / 'datasets' / name)) in message
    # It must not recommend a command that does not exist.
    assert command.split()[0] in [command.__name__ for command in dataset_tool.COMMANDS]


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


@pytest.mark.parametrize('kwargs, words', [({'resolution': 12}, '12'), ({'resolution': 2}, '2'),
                                           ({'max_label_size': -1}, '-1'),
                                           ({'max_label_size': 'all'}, 'all'),
                                           ({'random_seed': -3}, '-3')])
def test_arguments_that_make_no_sense(kwargs, words, small):
    with pytest.raises(ConfigError, match=f'Received: .*{words}'):
        TFRecordDataset(small, **kwargs)


def test_a_resolution_that_is_not_there(small):
    with pytest.raises(DataError, match='no images of 64x64.*largest are 16x16'):
        TFRecordDataset(small, resolution=64)


@pytest.mark.parametrize('size, lod, words', [(0, 0, 'minibatch size'), (2.5, 0, 'minibatch size'),
                                              (4, 3, r'lod must be from 0.*to 2'),
                                              (4, -0.1, 'lod must be')])
def test_minibatches_that_make_no_sense(size, lod, words, small):
    with pytest.raises(ConfigError, match=words):
        TFRecordDataset(small).configure(size, lod)


def test_a_closed_dataset_says_so(small):
    dset = TFRecordDataset(small)
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


def test_load_dataset_is_silent_and_takes_absolute_folders(small, capsys):
    assert load_dataset(data_dir='elsewhere', tfrecord_dir=small).num_images == NUM
    assert load_dataset(class_name='dataset.SyntheticDataset', data_dir='elsewhere',
                        resolution=8).shape == [3, 8, 8]
    assert capsys.readouterr().out == ''


def test_load_dataset_names_misspelt_and_missing_options(small):
    with pytest.raises(ConfigError, match="no option 'max_label_sise'. Did you mean "
                                          "'max_label_size'"):
        load_dataset(tfrecord_dir=small, max_label_sise=1)
    with pytest.raises(ConfigError, match='lack tfrecord_dir'):
        load_dataset()
    with pytest.raises(ConfigError, match='SyntheticDataset'):
        load_dataset(class_name='dataset.SyntheticDatasets')


def test_importing_and_reading_need_no_tensorflow(small):
    code = (f'import sys, dataset; d = dataset.TFRecordDataset({small!r}, max_label_size=1); '
            "d.get_minibatch_np(5); sys.exit('tensorflow' in sys.modules)")
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=False).returncode == 0
