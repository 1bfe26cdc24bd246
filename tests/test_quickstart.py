"""The quick start's steps on a hundredth of its images: data set, training, pictures; and whether its measure measures."""
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

import dataset
from examples import digits


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """An empty folder in which datasets/digits has been made."""
    path = tmp_path_factory.mktemp('quickstart')
    run(path, 'dataset_tool.py', 'create_digits', 'datasets/digits')
    return path


def run(folder, script, *arguments):
    done = subprocess.run([sys.executable, ROOT / script, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_train_and_draw(folder):
    run(folder, 'train.py', '--config', str(ROOT / 'configs/quickstart.py'), '--set', 'train.total_kimg=0.5', '--set',
        'sched.lod_training_kimg=0.064', '--set', 'sched.lod_transition_kimg=0.064', '--set', 'G.fmap_max=8', '--set', 'D.fmap_max=8')
    result = folder / 'results/000-quickstart-digits'
    assert (result / '_training-done.txt').exists()
    table = run(folder, 'examples/digits.py', 'results/000-quickstart-digits')
    assert (result / 'digits.txt').read_text() == table
    assert re.search(r'^all: \d+\.\d% of 1000 generated digits are read as what was asked for$', table, re.M)
    assert Image.open(result / 'digits.png').size == (1024, 640)
    film = Image.open(result / 'interpolation.gif')
    assert film.n_frames == 120 and film.size == (640, 320)


def test_the_nearest_neighbour_reads_real_digits(folder):
    """Fitted on nine tenths of the real digits it reads the rest nearly always, and noise no better than chance: so its verdict counts."""
    training_set = dataset.load_dataset(tfrecord_dir=str(folder / 'datasets/digits'), max_label_size='full', shuffle_mb=0)
    images, labels = training_set.get_minibatch_np(5000)
    labels = labels.argmax(axis=1)
    assert np.mean(digits.nearest_labels(images[4500:], images[:4500], labels[:4500]) == labels[4500:]) > 0.9
    noise = np.random.RandomState(0).randint(0, 256, images[:500].shape).astype(np.uint8)
    assert np.mean(digits.nearest_labels(noise, images, labels) == labels[:500]) < 0.3


def test_a_run_on_other_data_is_refused(folder):
    os.makedirs(folder / 'results/007-other', exist_ok=True)
    (folder / 'results/007-other/config.txt').write_text("dataset = {'tfrecord_dir': 'digits'}\ntrain = {}\n")
    done = subprocess.run([sys.executable, ROOT / 'examples/digits.py', '7'], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1 and 'not 10 classes' in done.stderr and 'Traceback' not in done.stderr
