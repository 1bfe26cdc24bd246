"""training/reals.py against the original's process_reals."""
import numpy as np
import pytest
import tensorflow as tf

from tests.support.golden import load_npz
from tests.support.networks import max_abs
from tfutil import randomness
from train import process_reals

DATA = load_npz('process_reals.npz')
CASES = [key for key in DATA if '/out_lod' in key]


@pytest.mark.parametrize('key', CASES)
def test_process_reals(key):
    """Tolerance 2e-6: float32 rounding of values in [-1, 1]."""
    group, name = key.split('/')
    lod, drange = name.removeprefix('out_lod').split('_drange')
    full = int(group[1:group.index('c')])
    low, high = (float(x) for x in (drange[:drange.index('_')], drange[drange.index('_') + 1:]))
    images = DATA[f'{group}/in_res{full >> int(float(lod))}']
    out = process_reals(images, float(lod), False, [0, 255], [low, high])
    assert max_abs(out, DATA[key]) <= 2e-6
    native = process_reals(tf.constant(images), tf.constant(float(lod)), False, [0, 255],
                           [low, high], native=True)
    step = 2 ** int(float(lod))
    assert max_abs(native, DATA[key][:, :, ::step, ::step]) <= 2e-6


def test_mirroring_keeps_below_one_half(monkeypatch):
    monkeypatch.setattr(randomness, 'uniform',
                        lambda shape, *args: tf.constant(DATA['mirror/random_uniform']))
    out = process_reals(DATA['mirror/in'], float(DATA['mirror/lod']), True, [0, 255], [-1, 1])
    assert max_abs(out, DATA['mirror/out']) <= 2e-6


@pytest.mark.parametrize('seed', range(3))
def test_every_image_comes_out_as_it_was_or_mirrored(seed):
    images = np.random.RandomState(seed).randint(0, 256, size=[32, 3, 8, 8]).astype(np.uint8)
    with randomness.keyed(seed, 5):
        out = process_reals(images, 0, True, [0, 255], [0, 255]).numpy()
    kept = (out == images).all(axis=(1, 2, 3))
    mirrored = (out == images[:, :, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept | mirrored).all() and 4 < kept.sum() < 28
