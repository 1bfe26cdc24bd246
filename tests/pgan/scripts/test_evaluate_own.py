"""evaluate_metrics on a run with user-defined data set, networks and metric."""
import os
import sys

import numpy as np
import pytest

import misc
import tfutil
from metrics.evaluator import as_bytes
from pgan.scripts.evaluate_metrics import evaluate_metrics
from tests.support.script_inputs import settings_of_run
from tests.support.toy_runs import make_toy

OWN = '''
import keras
import numpy as np
import dataset
from tests.support.watching_metrics import Keeper

class Halves(dataset.SyntheticDataset):
    """The left half is -1, the right half 1."""
    def __init__(self):
        super().__init__(16, 1, 'float32', (-1, 1))

    def _generate_images(self, minibatch_size, lod, shape):
        images = np.ones([minibatch_size, *shape], np.float32)
        images[..., :shape[-1] // 2] = -1
        return images

class Inverted(dataset.TFRecordDataset):
    """White where the files are black."""
    def get_minibatch_np(self, *args):
        images, labels = super().get_minibatch_np(*args)
        return 255 - images, labels

class Metric(Keeper):
    """A metric whose knowledge of reals can be kept."""

def own_G(num_channels, resolution, label_size):
    latents = keras.Input([4], name='latents_in')
    images = keras.layers.Dense(num_channels * resolution**2)(latents)
    return keras.Model(latents, keras.layers.Reshape([num_channels, resolution,
                                                      resolution])(images))
'''


@pytest.fixture
def evaluate(in_tmp, monkeypatch):
    """Function (options of the data set) that evaluates run 0, whose generator has no labels, and
    returns the metric.
    """
    (in_tmp / 'own_evaluation.py').write_text(OWN)
    monkeypatch.syspath_prepend(str(in_tmp))
    monkeypatch.setattr(tfutil.network, '_known_functions', {})
    os.makedirs('results/000-run')
    Gs = tfutil.Network('Gs', 'own_evaluation.own_G', num_channels=1, resolution=16, label_size=0)
    misc.save_pkl((Gs, Gs, Gs), 'results/000-run/network-snapshot-000003.pkl')

    def evaluate(**options):
        misc.write_config('results/000-run', {'G': {'func': 'own_evaluation.own_G'},
                                              'dataset': options})
        tfutil.network._known_functions.clear()
        np.random.seed(0)  # the cache is valid for one draw
        evaluate_metrics(0, 'metric-own.txt', ['own_evaluation.Metric'], 10, 1, 4,
                         config=settings_of_run())
        return sys.modules['own_evaluation'].Metric.made[-1]
    yield evaluate
    del sys.modules['own_evaluation']


def test_all_of_ones_own(evaluate):
    metric = evaluate(class_name='own_evaluation.Halves')
    assert [mode for mode, _ in metric.passes] == ['warmup', 'reals', 'fakes']
    reals = metric.images(1)
    assert reals.shape == (10, 3, 16, 16)
    assert (reals[..., :8] == 0).all() and (reals[..., 8:] == 255).all()


def test_reals_are_kept_for_the_stock_class_alone(evaluate):
    """A user-defined class returns other images for the same files."""
    make_toy(channels=1)
    stock = evaluate(tfrecord_dir='toy').images(1)
    assert os.listdir('results/_metrics-cache')
    inverted = evaluate(class_name='own_evaluation.Inverted', tfrecord_dir='toy')
    assert [mode for mode, _ in inverted.passes] == ['warmup', 'reals', 'fakes']
    assert stock.mean() < 128 < inverted.images(1).mean()
    assert [mode for mode, _ in evaluate(tfrecord_dir='toy').passes] == ['warmup', 'fakes']


@pytest.mark.parametrize('dtype, drange, values, expected', [
    ('uint8', (0, 255), [0, 7, 255], [0, 7, 255]), ('float32', [-1, 1], [-1, 0, 3], [0, 128, 255]),
    ('uint8', [0, 1], [0, 1, 1], [0, 255, 255]), ('float64', (0, 255), [-1, 6.6, 300], [0, 7, 255])
])
def test_as_bytes(dtype, drange, values, expected):
    images = as_bytes(np.array(values, dtype), drange)
    assert images.dtype == np.uint8 and images.tolist() == expected
