"""Seeds in StyleGAN's notation: one image per seed, or stations of a video."""
import os

import numpy as np
import pytest

from pgan.errors import ConfigError
from pgan.scripts import seeds
from pgan.scripts.seeds import closed_loop, seed_list, slerp
from tests.support.script_inputs import StandInNetwork, settings_of_run, write_labelled_data
from util_scripts import generate_fake_images, generate_interpolation_video

LABELS = [[0.5, 2.0], [0.0, 3.0], [1.0, 0.0], [0.0, 1.0], [7.0, 7.0]]


@pytest.mark.parametrize('given, expected', [
    ('1-4,42', [1, 2, 3, 4, 42]), ('42', [42]), (42, [42]), ([3, 1], [3, 1]), ('5-5', [5]),
    (' 7 , 1 - 2', [7, 1, 2]), (['1-2', 9, '4,3'], [1, 2, 9, 4, 3]), (4294967295, [4294967295]),
    ([(3, 7)], [3, 7]), (np.int64(8), [8]),
])
def test_seeds_in_the_order_given(given, expected):
    assert seed_list(given) == expected


@pytest.mark.parametrize('given, named', [
    ('20-1', "low to high.*'20-1'.*'1-20'"), ('1-3,20-9', "low to high.*'20-9'"),
    ('1-5,3', 'seed 3 .*1-5,3'), ([4, 4], 'seed 4 '), ('0-4294967295', 'at most 1000000'),
    ('4294967296', "'4294967296'"), ('0-99999999999', "'0-99999999999'"), (-1, '-1'), ('', "''"),
    ('1,,2', "''"), ('1-', "'1-'"), ('-3', "'-3'"), ('a', "'a'"), ('1.5', "'1.5'"), (1.5, '1.5'),
    ([True], 'True'), ([], 'at least one'), ('1–20', "'1–20'"),
    ('1-600000,600001-1200000', '600001-1200000'), ('9' * 5000, 'ranges'),
])
def test_what_is_wrong_with_seeds_is_named(given, named):
    with pytest.raises(ConfigError, match=f'train.seeds: .*{named}') as error:
        seed_list(given)
    assert '\n' not in str(error.value)


# ---------------------------------------------------------------- one image each

def images_of(net, **options):
    folder = generate_fake_images(23, config=settings_of_run(), **options)
    return sorted(name for name in os.listdir(folder) if name.endswith('.png'))


def test_an_image_a_seed(use_network):
    net = use_network(StandInNetwork(4, [3, 8, 8]))
    assert images_of(net, seeds='1-2,12345') == ['seed0001.png', 'seed0002.png', 'seed12345.png']
    np.testing.assert_array_equal(
        net.latents, [np.random.RandomState(seed).randn(1, 4).astype(np.float32)
                      for seed in (1, 2, 12345)])
    assert images_of(net, seeds=[7], png_prefix='mine-') == ['mine-seed0007.png']


@pytest.mark.parametrize('labels', [None, 1])
def test_a_seeds_image_is_the_first_of_that_random_seed(use_network, labels):
    """Label and latents do not depend on the other seeds."""
    net = use_network(StandInNetwork(4, [3, 8, 8], label_size=2))
    write_labelled_data(LABELS)
    images_of(net, seeds='3-6', labels=labels)
    images_of(net, seeds=[5, 1], labels=labels)
    images_of(net, random_seed=5, labels=labels)
    of_range, of_list, of_random_seed = 2, 4, 6
    for given in (net.latents, net.labels):
        np.testing.assert_array_equal(given[of_range], given[of_list])
        np.testing.assert_array_equal(given[of_range], given[of_random_seed])
    assert (len(np.unique(np.concatenate(net.labels), axis=0)) == 1) == (labels is not None)


@pytest.mark.parametrize('script, options', [
    (generate_fake_images, dict(grid_size=[2, 1])), (generate_fake_images, dict(num_pngs=4)),
    (generate_fake_images, dict(random_seed=4)), (generate_fake_images, dict(labels='rows')),
    (generate_interpolation_video, dict(grid_size=[2, 1])),
    (generate_interpolation_video, dict(random_seed=4)),
    (generate_interpolation_video, dict(smoothing_sec=2.0)),
    (generate_interpolation_video, dict(labels='rows')),
    (generate_interpolation_video, dict(duration_sec=0.05)),
    (generate_interpolation_video, dict(seeds=7)), (generate_fake_images, dict(seeds='9-2')),
    (generate_fake_images, dict(seeds={1: 2})), (generate_interpolation_video, dict(seeds=0.5)),
])
def test_what_seeds_do_not_go_with(use_network, script, options):
    use_network(StandInNetwork(4, [3, 8, 8], label_size=2))
    with pytest.raises(ConfigError, match=f'train.{next(iter(options))}.*seed'):
        script(23, **{'seeds': '1-5', **options}, config=settings_of_run())
    assert os.listdir('results') == ['023-run']


def test_defaults_go_with_seeds(use_network):
    net = use_network(StandInNetwork(4, [3, 8, 8]))
    assert images_of(net, seeds=3, grid_size=(1, 1), num_pngs=1, random_seed=1000)


# ---------------------------------------------------------------- stations

def test_the_video_hits_each_stations_image(use_network, monkeypatch):
    """Latents and labels of the frames are those that generate_fake_images uses for the seeds."""
    net = use_network(StandInNetwork(6, [3, 8, 8], label_size=2))
    write_labelled_data(LABELS)
    images_of(net, seeds='3,4,5')
    expected = [np.concatenate(given) for given in (net.latents, net.labels)]
    net = use_network(StandInNetwork(6, [3, 8, 8], label_size=2))
    generate_interpolation_video(23, seeds='3,4,5', duration_sec=2.0, mp4_fps=10,
                                 config=settings_of_run())
    latents, labels = (np.concatenate(given) for given in (net.latents, net.labels))
    assert len(latents) == len(labels) == 20 and latents.dtype == labels.dtype == np.float32
    np.testing.assert_array_equal(latents[[0, 6, 13]], expected[0])
    np.testing.assert_array_equal(labels[[0, 6, 13]], expected[1])
    assert len(np.unique(expected[1], axis=0)) == 3


@pytest.mark.parametrize('count, num_frames', [(3, 90), (2, 50), (4, 101)])
def test_the_loop_is_smooth_and_closed(count, num_frames):
    """Latents stay on a sphere; step sizes change slowly, also at stations and at the seam."""
    stations = np.random.RandomState(1).randn(count, 1, 512)
    stations /= np.linalg.norm(stations, axis=-1, keepdims=True)
    frames = closed_loop(stations, num_frames, slerp)[:, 0]
    np.testing.assert_allclose(np.linalg.norm(frames, axis=-1), 1, atol=1e-12)
    steps = np.diff(np.concatenate([frames, frames[:2]]), axis=0)
    lengths = np.linalg.norm(steps, axis=-1)
    changes = np.linalg.norm(np.diff(steps, axis=0), axis=-1)
    assert changes.max() < 0.35 * lengths.max() and lengths.max() < 8 / (num_frames / count)


def test_spherical_interpolation():
    a, b = np.array([[2.0, 0, 0]]), np.array([[0, 4.0, 0]])
    half = slerp(a, b, 0.5)
    np.testing.assert_allclose(half, [[3 / 2**0.5, 3 / 2**0.5, 0]])
    np.testing.assert_allclose(slerp(a, b, 1 / 3)[0, :2],
                               (2 + 2 / 3) * np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)]))
    for other in (a, 3 * a, -a):  # no unique great circle
        assert np.isfinite(slerp(a, other, 0.3)).all()


def test_as_many_stations_as_frames():
    assert seeds.station_frames(5, 5) == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(closed_loop(np.arange(5.0)[:, None], 5, slerp)[:, 0], range(5))
