"""explorer/directions.py: directions are those along which images change most, and are cached."""
import os

import numpy as np
import pytest

import misc
import tfutil
from pgan.explorer import directions
from tests.support.explorer_inputs import random_generator


@pytest.fixture(autouse=True)
def few_samples(in_tmp, monkeypatch):
    monkeypatch.setattr(directions, 'SAMPLES', 150)


def find(Gs, path='network.pkl'):
    size = Gs.input_shapes[1][1]
    labels = np.eye(max(size, 1), dtype='f')[:, :size]
    return directions.directions_of(Gs, str(path), lambda seed: labels[[seed % len(labels)]],
                                    lambda done, total: None)


def test_a_planted_direction_comes_first():
    """Network that depends on component 5 of its latents more than on the others."""
    Gs = random_generator(label_size=0, latent_size=8, normalize_latents=False)
    weight = Gs.get_var('4x4/Dense/weight').copy()
    weight[:] *= 0.05
    weight[5] *= 40
    Gs.set_var('4x4/Dense/weight', weight)
    found = find(Gs)
    first = found.steps[0] / np.linalg.norm(found.steps[0])
    assert abs(first[5]) > 0.9 and found.shares[0] > 0.3
    assert (np.diff(found.shares) <= 1e-6).all() and found.shares.sum() < 1.001
    lengths = np.linalg.norm(found.steps, axis=1)
    np.testing.assert_allclose(lengths, directions.STEP * np.sqrt(8), rtol=1e-4)


def test_classes_are_no_directions():
    """Variation due to labels alone is removed."""
    Gs = random_generator(latent_size=8)
    weight = Gs.get_var('4x4/Dense/weight').copy()
    weight[8:] *= 50
    Gs.set_var('4x4/Dense/weight', weight)
    found = find(Gs)
    assert found.shares[0] < 0.9 and len(found.shares) > 3


def test_they_are_kept_beside_the_snapshot(monkeypatch):
    Gs = random_generator()
    found = find(Gs)
    assert found.kept and os.listdir() == ['network-directions.npz']
    monkeypatch.setattr(directions, 'find_directions', None)
    again = find(Gs)
    np.testing.assert_array_equal(found.steps, again.steps)
    assert again.layer == found.layer == '8x8 activations' and again.kept


@pytest.mark.parametrize('damage', ['other weights', 'garbage', 'empty', 'pickle', 'nan'])
def test_what_does_not_fit_is_computed_again(damage):
    Gs = random_generator()
    found = find(Gs)
    path = 'network-directions.npz'
    if damage == 'other weights':
        Gs.set_var('4x4/Conv/bias', Gs.get_var('4x4/Conv/bias') + 1)
    elif damage == 'pickle':
        misc.save_pkl({'mark': 1}, path)
    elif damage == 'nan':
        np.savez(path, mark=directions._mark(Gs), steps=found.steps * np.nan, shares=found.shares,
                 layer='x')
    else:
        open(path, 'wb').write(b'' if damage == 'empty' else b'PK\x03\x04garbage')
    again = find(Gs)
    assert np.isfinite(again.steps).all()
    assert np.array_equal(found.steps, again.steps) == (damage != 'other weights')


def test_a_folder_that_cannot_be_written_is_no_error():
    Gs = random_generator()
    found = find(Gs, 'nowhere/network.pkl')
    assert not found.kept and len(found.steps) > 3 and os.listdir() == []


def test_a_network_that_does_not_grow():
    """Images replace activations."""
    Gs = random_generator(structure='linear', resolution=8)
    assert not Gs.gives_native_images and isinstance(Gs, tfutil.Network)
    assert find(Gs).layer == 'pixels'
