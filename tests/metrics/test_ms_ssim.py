"""metrics.ms_ssim compared with the original's values (tests/golden/metrics.*), with a simple
implementation, and with properties of any similarity.
"""
import hashlib

import numpy as np
import pytest
import scipy.signal

from metrics import ms_ssim
from pgan.errors import ConfigError
from tests.support.golden import load_json, load_npz
from tests.support.metric_inputs import evaluate, run_golden_passes, run_pass

GOLDEN = load_npz('metrics.npz')
CASES = load_json('metrics.json')
SIZES = CASES['msssim_sizes']['result']
OPTIONS = dict(max_val=255, filter_size=11, filter_sigma=1.5, k1=0.01, k2=0.03)


@pytest.mark.parametrize('size', [1, 2, 4, 8, 11])
def test_window(size):
    profile = ms_ssim.gaussian(size, 1.5 * size / 11)
    np.testing.assert_allclose(np.outer(profile, profile), GOLDEN[f'msssim/window/{size}'],
                               rtol=1e-12)


@pytest.mark.parametrize('size', [16, 32, 64, 160, 256])
def test_golden_images(size):
    case = CASES[f'msssim/{size}']
    a, b = evaluate(case['a']), evaluate(case['b'])
    for name, images in (('a', a), ('b', b)):
        assert hashlib.sha256(np.ascontiguousarray(images)).hexdigest() == case[f'sha256_{name}']
    others = dict(a=a, b=b, c=evaluate(case['c'], a=a), d=evaluate(case['d'], a=a))
    for name, images in others.items():
        assert ms_ssim.msssim(a, images) == pytest.approx(case[f'msssim_a_{name}'], abs=1e-5)
        np.testing.assert_allclose(ms_ssim.msssim_per_image(a, images),
                                   case[f'msssim_a_{name}_per_image'], rtol=0, atol=1e-5)
    similarity, contrast = ms_ssim._one_level(
        *(images.transpose(0, 3, 1, 2).astype(np.float64) for images in (a, others['d'])),
        **OPTIONS)
    np.testing.assert_allclose(similarity, case['one_level_ssim_a_d'], rtol=0, atol=1e-5)
    np.testing.assert_allclose(contrast, case['one_level_cs_a_d'], rtol=0, atol=1e-5)


@pytest.mark.parametrize('size', [int(size) for size in SIZES])
def test_golden_sizes(size):
    expected = SIZES[str(size)]
    images = [np.full([1, size, size, 3], value, np.uint8) for value in (7, 9)]
    if isinstance(expected, float):
        assert ms_ssim.msssim(*images) == pytest.approx(expected, abs=1e-5)
    else:
        with pytest.raises(ConfigError, match=f'{size}x{size}'):
            ms_ssim.msssim(*images)


@pytest.mark.parametrize('case', ['32', '64'])
def test_golden_passes(case):
    run_golden_passes(ms_ssim.API, CASES[f'msssim_api/{case}'], tolerance=1e-5)


def test_message_about_sizes_names_those_that_work():
    with pytest.raises(
            ConfigError,
            match=r'80x64 .*smallest side that works is 12; the nearest to 80: 64 and 96\.'):
        ms_ssim.API(4, [3, 64, 80], np.uint8, 2)
    with pytest.raises(ConfigError, match=r'4x4 .*the nearest to 4: 12\.'):
        ms_ssim.API(4, [3, 4, 4], np.uint8, 2)
    ms_ssim.API(4, [3, 96, 64], np.uint8, 2)
    assert [size for size in range(1, 100) if ms_ssim.fits(size)] == [12, 16, 24, 32, 48, 64, 96]


def test_filter_is_the_two_dimensional_one():
    x = np.random.RandomState(0).rand(2, 3, 17, 23)
    profile = ms_ssim.gaussian(8, 1.1)
    window = np.outer(profile, profile)[None, None]
    np.testing.assert_allclose(ms_ssim._filter(x, profile),
                               scipy.signal.fftconvolve(x, window, mode='valid'), rtol=0,
                               atol=1e-12)


def test_either_way_the_same_and_one_with_itself():
    r = np.random.RandomState(0)
    a = r.randint(0, 256, size=(3, 32, 64, 3), dtype=np.uint8)
    b = (a // 2 + r.randint(0, 100, size=a.shape)).astype(np.uint8)
    assert ms_ssim.msssim(a, a) == pytest.approx(1, abs=1e-12)
    assert ms_ssim.msssim(a, b) < 0.99
    assert ms_ssim.msssim(a, b) == pytest.approx(ms_ssim.msssim(b, a), abs=1e-12)


def test_minibatch_size_does_not_matter():
    images = np.random.RandomState(0).randint(100, 130, size=(13, 3, 16, 16), dtype=np.uint8)
    results = [
        run_pass(ms_ssim.API(13, [3, 16, 16], np.uint8, size), 'fakes', images, size)[0]
        for size in (1, 3, 4, 13)
    ]
    np.testing.assert_allclose(results, results[-1], rtol=1e-12)


def test_shapes_that_differ():
    with pytest.raises(ConfigError, match=r'Received: \[2, 16, 16, 3\] and \[1, 16, 16, 3\]'):
        ms_ssim.msssim(np.zeros([2, 16, 16, 3]), np.zeros([1, 16, 16, 3]))


def test_a_single_image_has_no_pair():
    api = ms_ssim.API(2, [3, 16, 16], np.uint8, 2)
    api.begin('reals')
    api.feed('reals', np.zeros([1, 3, 16, 16], np.uint8))
    with pytest.raises(ConfigError, match='fewer than two images'):
        api.end('reals')


@pytest.mark.parametrize('setting, words', [
    ((1, [3, 16, 16], np.uint8, 2), 'num_images of at least 2'),
    ((4, [3, 16, 16], np.uint8, 0), 'minibatch_size of at least 1'),
    ((4, [1, 16, 16], np.uint8, 2), r'Received: \[1, 16, 16\]'),
    ((4, [3, 16, 16], np.float32, 2), 'image_dtype=float32')])
def test_settings_of_metrics_are_checked(setting, words):
    with pytest.raises(ConfigError, match=words):
        ms_ssim.API(*setting)


def test_minibatches_are_checked():
    api = ms_ssim.API(4, [3, 16, 16], 'uint8', 2)
    with pytest.raises(ConfigError, match="mode='fake'"):
        api.begin('fake')
    api.begin('fakes')
    for wrong in (np.zeros([2, 3, 16, 16], np.float32), np.zeros([2, 1, 16, 16], np.uint8)):
        with pytest.raises(ConfigError, match='Expected a minibatch of uint8'):
            api.feed('fakes', wrong)
