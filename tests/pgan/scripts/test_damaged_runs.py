"""Damaged files of a run: its config.txt, its log and its pictures."""
import os
import shutil

import numpy as np
import PIL.Image
import pytest

import dataset
import misc
from pgan.scripts import generate_training_video as training_video
from tests.support.damage import KINDS, check_all, damaged, flips_within
from tests.support.golden import GOLDEN

pytestmark = pytest.mark.usefixtures('limits')


@pytest.fixture
def run_folder(labelled):
    """config.txt of a run trained on the data set toy."""
    os.makedirs('results/000-run')
    misc.write_config(
        'results/000-run', {
            'data_dir': '.',
            'dataset': {'tfrecord_dir': 'toy', 'max_label_size': 'full', 'shuffle_mb': 10},
            'train': {'func': 'train.train_progressive_gan', 'mirror_augment': True}, 'desc': 'run'
        })
    return labelled[1].parent.parent / 'results' / '000-run'


CONFIGS = [
    '', 'dataset', 'dataset = ', 'dataset = {}', 'dataset = 5', 'dataset = {1: 2}',
    "dataset = {'tfrecord_dir': 3}", "dataset = {'tfrecord_dir': 'toy', 1: 2}",
    "dataset = {'tfrecord_dir': None}", "dataset = {'h5_path': 3}",
    "dataset = {'tfrecord_dir': 'toy', 'max_labels': []}",
    "dataset = {'tfrecord_dir': 'toy', 'max_label_size': {}}",
    "dataset = {'tfrecord_dir': 'a\\0b'}", "dataset = {'tfrecord_dir': 'toy', 'shuffle_mb': 'x'}",
    "dataset = {'tfrecord_dir': 'toy', "
    "'label_file': 3}",
    "dataset = {'tfrecord_dir': 'toy', 'label_file': 'a\\0b', 'max_label_size': 1}",
    "dataset = {'tfrecord_dir': 'toy', 'resolution': '8'}", "dataset = {'tfrecord_dir': 'toy', "
    "'class_name': 3}", "dataset = {'tfrecord_dir': 'toy', 'class_name': ''}",
    "dataset = {'tfrecord_dir': 'toy', "
    "'class_name': '..'}", "dataset = {'tfrecord_dir': 'toy', 'class_name': 'dataset'}",
    "dataset = {'tfrecord_dir': 'toy', "
    "'class_name': 'dataset.np.pi'}", "dataset = {'tfrecord_dir': 'toy', 'data_dir': 3}",
    "dataset = {'tfrecord_dir': 'toy', "
    "'random_seed': 2.5}", "dataset = {'tfrecord_dir': 'toy', 'resolution': 10 ** 9}",
    'dataset = ' + '[' * 5000, 'dataset = ' + '-' * 100000 + '1',
    "dataset = {'tfrecord_dir': '" + 'x' * 300 + "'}", "dataset = {'tfrecord_dir': '\\ud800'}",
    'train = {}', 'dataset = {"a": ' * 300
]


@pytest.mark.slow
def test_config(run_folder):
    path = run_folder / 'config.txt'

    def is_dataset(result, data):
        dset, mirror = result
        assert isinstance(dset, dataset.Dataset)
        assert dset.get_minibatch_np(2)[0].shape[0] == 2

    def read():
        return misc.load_dataset_for_previous_run(0, 'results', data_dir='.')

    data = path.read_bytes()
    assert check_all(path, damaged(data, 1500, seed=1), read, is_dataset, names=' ') < 1300
    check_all(path, ((text[:60], text.encode()) for text in CONFIGS), read, is_dataset, names=' ')


LOGS = [
    'tick 1     kimg ' + '9' * 400 + '.0 lod 0.00 minibatch 4    time 5s           sec/tick 1',
    'tick 1     kimg 1.0 lod 0.00 minibatch 4    time ' + '9' * 400 + 's           sec/tick 1',
    'tick 1     kimg 1.0 lod 0.00 minibatch 4    time ' + '9' * 5000 + 's           sec/tick 1',
    'tick 1     kimg ١٢.٣ lod ٠.٠ minibatch 4    time ٥s           sec/tick 1',
    'tick 1     kimg ²² lod 0.00 minibatch 4    time 5s           sec/tick 1',
    'tick 1 kimg 1.0 lod 0.00 ' + 'time 1 ' * 20000, 'tick ' + ' ' * 200000,
    'tick 1 kimg 1.0 lod 1.0 time ' + '1' * 100000,
    'tick 1 kimg 1.0 lod ' + '9' * 10000 + '.0 minibatch 4    time 5s           sec/tick 1'
]


def test_log(run_folder):
    path = run_folder / 'log.txt'
    shutil.copy(GOLDEN / 'sample_log.txt', path)
    data = path.read_bytes()
    for tick in training_video.parse_log(data.decode()):
        PIL.Image.new('L', (64, 64)).save(run_folder / f'fakes{int(tick.kimg):06d}.png')

    def is_watchable(result, data):
        frames = training_video.TrainingFrames(result, 20.0, 1.5)
        for t in (0, 7, 20, 30):
            assert frames.at(t).shape == (64, 64, 3)

    def read():
        return training_video.find_snapshots(os.fspath(run_folder))

    check_all(path, damaged(data, 500, seed=1), read, is_watchable, names='000-run')
    check_all(path, ((text[:60], text.encode()) for text in LOGS), read, is_watchable,
              names='000-run')


@pytest.mark.parametrize('ending', ['png', 'jpg'])
def test_pictures(ending, in_tmp):
    path = in_tmp / f'fakes000001.{ending}'
    misc.save_image(
        np.random.RandomState(0).randint(0, 256, [3, 24, 24]), str(path), drange=[0, 255])
    data = path.read_bytes()

    def is_picture(result, data):
        assert result.ndim == 3 and result.shape[2] == 3 and result.dtype in (np.uint8, np.float32)

    cases = damaged(data, 600, seed=1, kinds=[*KINDS, flips_within(range(60))])
    check_all(path, cases, lambda: training_video.read_picture(str(path)), is_picture)
