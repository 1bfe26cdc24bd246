"""The quick start's measure recognizes real digits; tests/docs/test_programs.py runs quickstart.sh.
"""
import os
import subprocess
import sys

import numpy as np
import pytest

import dataset
from examples import digits
from tests.support.golden import ROOT


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Folder with only datasets/digits."""
    path = tmp_path_factory.mktemp('quickstart')
    run(path, 'dataset_tool.py', 'create_digits', 'datasets/digits')
    return path


def run(folder, script, *arguments):
    done = subprocess.run([sys.executable, ROOT / script, *arguments], cwd=folder,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_nearest_neighbour_reads_real_digits(folder):
    """Fitted on nine tenths of the real digits, it recognizes nearly all others, and noise only by
    chance.
    """
    training_set = dataset.load_dataset(tfrecord_dir=str(folder / 'datasets/digits'),
                                        max_label_size='full', shuffle_mb=0)
    images, labels = training_set.get_minibatch_np(5000)
    labels = labels.argmax(axis=1)
    assert np.mean(
        digits.nearest_labels(images[4500:], images[:4500], labels[:4500]) == labels[4500:]) > 0.9
    noise = np.random.RandomState(0).randint(0, 256, images[:500].shape).astype(np.uint8)
    assert np.mean(digits.nearest_labels(noise, images, labels) == labels[:500]) < 0.3


@pytest.mark.slow
def test_a_run_on_other_data_is_refused(folder):
    os.makedirs(folder / 'results/007-other', exist_ok=True)
    (folder / 'results/007-other/config.txt').write_text("dataset = {'tfrecord_dir': "
                                                         "'digits'}\ntrain = {}\n")
    done = subprocess.run([sys.executable, ROOT / 'examples/digits.py', '7'], cwd=folder,
                          capture_output=True, text=True)
    assert done.returncode == 1 and 'not 10 classes' in done.stderr
    assert 'Traceback' not in done.stderr
