"""metrics.sliced_wasserstein compared with the original's values (tests/golden/metrics.*), and with
properties of any such distance.
"""
import numpy as np
import pytest

from metrics import sliced_wasserstein as swd
from pgan.errors import ConfigError
from tests.support.golden import load_json, load_npz
from tests.support.metric_inputs import evaluate, run_golden_passes

GOLDEN = load_npz('metrics.npz')
CASES = load_json('metrics.json')


def assert_close(actual, expected, tolerance):
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def test_pyramid_filters():
    x = GOLDEN['swd/x'].astype(np.float32)
    assert_close(swd.pyr_down(x), GOLDEN['swd/pyr_down'], 1e-4)
    assert_close(swd.pyr_up(GOLDEN['swd/pyr_up_in']), GOLDEN['swd/pyr_up'], 1e-4)


def test_pyramid():
    pyramid = swd.generate_laplacian_pyramid(GOLDEN['swd/x'], 3)
    assert len(pyramid) == 3
    for level in range(3):
        assert_close(pyramid[level], GOLDEN[f'swd/pyramid/{level}'], 1e-4)


def test_pyramid_leaves_its_input_as_it_was():
    x = GOLDEN['swd/x'].astype(np.float32)
    swd.generate_laplacian_pyramid(x, 2)
    assert np.array_equal(x, GOLDEN['swd/x'])


@pytest.mark.parametrize('case', [0, 1, 2])
def test_descriptors_and_the_random_stream(case):
    options = CASES[f'desc/{case}']
    np.random.seed(options['seed'])
    desc = swd.get_descriptors_for_minibatch(GOLDEN['swd/x'].astype(np.float32),
                                             options['nhood_size'], options['nhoods_per_image'])
    assert_close(desc, GOLDEN[f'swd/desc/{case}'], 0)
    assert_close(np.random.rand(2), GOLDEN[f'swd/desc/{case}_next_rand'], 0)
    assert desc.flags.c_contiguous  # otherwise flattening would copy gigabytes
    final, = swd.finalize_descriptors([desc.copy()])
    assert_close(final, GOLDEN[f'swd/desc_final/{case}'], 2e-6)
    parts = swd.finalize_descriptors([desc[:5], desc[5:]])
    assert np.array_equal(np.concatenate(parts), final)


@pytest.mark.parametrize('case', [0, 1, 2])
def test_distance_and_the_random_stream(case):
    options = CASES[f'sw/{case}']
    A, B = (evaluate(options[name]) for name in 'AB')
    for parts in (A, [A[:1], A[1:]]):
        np.random.seed(options['seed'])
        distance = swd.sliced_wasserstein(parts, B, options['dir_repeats'],
                                          options['dirs_per_repeat'])
        np.testing.assert_allclose(distance, GOLDEN[f'swd/sw/{case}'], rtol=1e-6)
        assert_close(np.random.rand(2), GOLDEN[f'swd/sw/{case}_next_rand'], 0)


@pytest.mark.parametrize('case', ['16', '32', '64'])
def test_golden_passes(case):
    run_golden_passes(swd.API, CASES[f'swd_api/{case}'], tolerance=1e-4)


def test_distance_to_itself_is_zero_and_either_way_the_same():
    r = np.random.RandomState(0)
    A, B = r.randn(50, 7).astype(np.float32), r.randn(50, 7).astype(np.float32) + 1

    def distance(a, b):
        np.random.seed(3)
        return swd.sliced_wasserstein(a, b, 2, 40)
    assert distance(A, A[::-1]) == pytest.approx(0, abs=1e-6)
    assert distance(A, B) > 0.1
    assert distance(A, B) == pytest.approx(distance(B, A), rel=1e-6)


def test_shift_along_one_dimension():
    """In one dimension every direction is +1 or -1, and the distance between shifted points is the
    shift.
    """
    A = np.random.RandomState(0).randn(300, 1).astype(np.float32)
    assert swd.sliced_wasserstein(A, A + np.float32(2.5), 1, 20) == pytest.approx(2.5, rel=1e-5)


def test_distance_of_sets_that_differ_in_size():
    with pytest.raises(ConfigError, match=r'Received: \[4, 3\] and \[5, 3\]'):
        swd.sliced_wasserstein(np.zeros([4, 3], np.float32), np.zeros([5, 3], np.float32), 1, 1)


def test_reals_draw_what_a_distance_would():
    """The random state is the same as if the distance of the reals to themselves had been computed.
    """
    images = np.random.RandomState(0).randint(0, 256, size=(2, 3, 16, 16), dtype=np.uint8)
    api = swd.API(2, [3, 16, 16], np.uint8, 2)
    follows = []
    for mode in ('reals', 'fakes'):
        np.random.seed(1)
        api.begin(mode)
        api.feed(mode, images)
        api.end(mode)
        follows.append(np.random.rand())
    assert follows[0] == follows[1]


@pytest.mark.parametrize('shape', [(3, 8, 8), (3, 24, 48), (3, 34, 34), (3, 16, 8)])
def test_sizes_without_levels_to_16(shape):
    if shape == (3, 24, 48):  # a single level: 24
        assert swd.API(4, shape, np.uint8, 2).get_metric_names() == ['SWDx1e3_24', 'SWDx1e3_avg']
        return
    with pytest.raises(ConfigError, match=f'Received: {shape[2]}x{shape[1]}'):
        swd.API(4, shape, np.uint8, 2)


def test_names_of_levels():
    assert swd.API(4, [3, 128, 64], np.uint8, 2).get_metric_names() == [
        'SWDx1e3_128', 'SWDx1e3_64', 'SWDx1e3_32', 'SWDx1e3_avg'
    ]


def test_fakes_before_reals():
    with pytest.raises(ConfigError, match="mode 'reals' before"):
        swd.API(4, [3, 16, 16], np.uint8, 2).begin('fakes')


def test_end_without_images():
    api = swd.API(4, [3, 16, 16], np.uint8, 2)
    api.begin('reals')
    with pytest.raises(ConfigError, match="No images were fed in mode 'reals'"):
        api.end('reals')


@pytest.mark.parametrize('value', [0, 1, 201, 255])
@pytest.mark.parametrize('empty', [(2,), (0, 1, 2)])
@pytest.mark.filterwarnings('error')
def test_a_channel_without_variation_counts_as_0(value, empty):
    """Empty channels, as of microscopy stains: the other channels give the same values as with
    noise that is equal in both sets. If all channels are empty, the distance is 0.
    """
    rnd = np.random.RandomState(1)
    reals, fakes = rnd.randint(0, 256, (2, 64, 3, 16, 16), dtype=np.uint8)
    for images in (reals, fakes):
        images[:, list(empty)] = value
    np.random.seed(2)
    parts = swd.get_descriptors_for_minibatch(reals.astype(np.float32), 7, 64)
    made, = swd.finalize_descriptors([parts])
    channels = made.reshape(len(made), 3, -1)
    assert (channels[:, list(empty)] == 0).all()
    for channel in {0, 1, 2} - set(empty):
        assert abs(channels[:, channel].std() - 1) < 1e-3
    metric = swd.API(64, [3, 16, 16], np.uint8, 32)
    values = {}
    for mode, images in (('reals', reals), ('fakes', fakes)):
        metric.begin(mode)
        for start in (0, 32):
            metric.feed(mode, images[start:start + 32])
        values[mode] = metric.end(mode)
    assert np.isfinite(values['fakes']).all()
    assert all(value == 0 for value in values['fakes']) == (len(empty) == 3)


def test_a_channel_with_little_variation_counts_in_full():
    part = np.full([1000, 2, 3, 3], 200, np.float32)
    part[7, 1, 2, 2] = 201
    made, = swd.finalize_descriptors([part])
    assert made.reshape(1000, 2, 9)[:, 1].std() == pytest.approx(1, abs=1e-2)
