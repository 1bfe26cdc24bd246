"""Metrics on Inception features: golden values, closed forms, and passes with a stand-in for the
network.
"""
import numpy as np
import pytest

import metrics
from metrics import frechet_inception_distance as fid
from metrics import inception_score, kernel_inception_distance, precision_recall
from metrics.inception import FeatureMetric, Inception
from pgan.errors import ConfigError, DataError
from tests.support.golden import load_json, load_npz
from tests.support.inception_standin import graph_bytes
from tests.support.metric_inputs import run_pass

GOLDEN = load_npz('metrics.npz')
CASES = load_json('metrics.json')
NAMES = ('fid', 'is', 'kid', 'pr')


def golden_stats(seed, n, d, shift, scale):
    a = np.random.RandomState(seed).randint(-4096, 4097, size=(n, d)).astype(np.float64) / 1024
    mix = np.random.RandomState(seed + 1).randint(-512, 513, size=(d, d)).astype(np.float64) / 1024
    a = (a.dot(mix) / np.sqrt(d)) * scale + shift
    return a, np.mean(a, axis=0), np.cov(a, rowvar=False)


def look(images):
    """Stand-in for Inception: eight features and five probabilities per image."""
    x = images.reshape(len(images), -1).astype(np.float32)
    projection = np.random.RandomState(0).randn(x.shape[1], 13).astype(np.float32) / 400
    y = x @ projection
    p = np.exp(y[:, 8:] / 4)
    return y[:, :8], p / p.sum(axis=1, keepdims=True)


def some_images(n, seed, high=256):
    return np.random.RandomState(seed).randint(0, high, size=(n, 3, 8, 8), dtype=np.uint8)


def made(name, num_images=40, **options):
    return metrics.make(name, num_images, [3, 8, 8], np.uint8, 16, inception=look, **options)


# --------------------------------------------------------------------------------------------------
# FID

@pytest.mark.parametrize('index', range(6))
def test_fid_golden(index):
    case = CASES[f'fid/{index}']
    _, *first = golden_stats(case['seed1'], case['n1'], case['dim'], 0.25, 1.0)
    _, *second = first if case['kind'] == 'identical statistics' else golden_stats(
        case['seed2'], case['n2'], case['dim'], 0.0, 1.5)
    second = first if case['kind'] == 'identical statistics' else second
    for name, value in zip(('mu1', 'sigma1', 'mu2', 'sigma2'), (*first, *second)):
        if f'fid/{index}/{name}' in GOLDEN:
            np.testing.assert_allclose(value, GOLDEN[f'fid/{index}/{name}'], rtol=0, atol=1e-9)
    for distance in (fid.frechet_distance(*first, *second), fid.frechet_distance(*second, *first)):
        assert isinstance(distance, float)
        assert distance == pytest.approx(case['distance'], rel=1e-6, abs=1e-9)


def test_fid_of_diagonal_gaussians():
    """|mu1 - mu2|^2 + sum (s1 - s2)^2, with standard deviations s1 and s2, some of them 0."""
    s1, s2 = np.array([1, 2, 0, 0, 3.5]), np.array([2, 0, 0, 1.5, 3])
    mu1, mu2 = np.array([0, 1, 2, 3, 4.0]), np.array([0, 1, 0, 3, 5.0])
    assert fid.frechet_distance(mu1, np.diag(s1**2), mu2,
                                np.diag(s2**2)) == pytest.approx(5 + 1 + 4 + 0 + 2.25 + 0.25,
                                                                 rel=1e-12)


def test_fid_of_negative_noise_is_real():
    """Rounding leaves eigenvalues slightly below 0."""
    sigma = np.diag([1, 1e-3, -1e-12])
    assert fid.frechet_distance(np.zeros(3), sigma, np.zeros(3),
                                sigma) == pytest.approx(0, abs=1e-9)
    assert np.isfinite(fid.matrix_root(sigma)).all()


@pytest.mark.parametrize('sizes', [[1000], [7] * 143, [1, 511, 1, 600], [3, 4]])
def test_streaming_statistics_are_those_of_all_rows(sizes):
    rows = np.random.RandomState(0).randn(sum(sizes), 5) @ np.random.RandomState(1).randn(5,
                                                                                          5) + 1000
    statistics = fid.Statistics()
    for start, size in zip(np.cumsum([0, *sizes]), sizes):
        statistics.add(rows[start:start + size])
    mean, covariance = statistics.result()
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(rows, rowvar=False), rtol=0, atol=1e-9)


def test_fid_of_a_pass_uses_all_images():
    reals, fakes = some_images(40, 1), some_images(40, 2, 200)
    api = made('fid')
    assert run_pass(api, 'reals', reals, 16) == [0.0]
    wanted = fid.frechet_distance(
        *(value for images in (reals, fakes)
          for value in (look(images)[0].mean(axis=0),
                        np.cov(look(images)[0].astype(np.float64), rowvar=False))))
    assert run_pass(api, 'fakes', fakes, 16) == [pytest.approx(wanted, rel=1e-5)]
    assert run_pass(api, 'fakes', reals, 16) == [pytest.approx(0, abs=1e-8)]
    run_pass(api, 'reals', fakes, 16)  # other reals, another root
    assert run_pass(api, 'fakes', fakes, 16) == [pytest.approx(0, abs=1e-8)]


# --------------------------------------------------------------------------------------------------
# Inception score

@pytest.mark.parametrize('index', range(4))
@pytest.mark.parametrize('splits', [10, 1, 5])
def test_inception_score_golden(index, splits):
    result = inception_score.inception_score(GOLDEN[f'is/{index}/preds'], splits)
    np.testing.assert_allclose(result, GOLDEN[f'is/{index}/splits{splits}'], rtol=1e-6, atol=1e-6)


def test_inception_score_of_certain_and_of_equal_guesses():
    assert inception_score.inception_score(np.tile(np.eye(7, dtype=np.float32), [20, 1]),
                                           10) == pytest.approx((7, 0), abs=1e-9)
    assert inception_score.inception_score(np.full([50, 7], 1 / 7), 10) == pytest.approx((1, 0),
                                                                                         abs=1e-9)


def test_inception_score_of_fewer_images_than_splits():
    assert inception_score.inception_score(np.eye(3), 10) == pytest.approx((1, 0))


def test_inception_score_of_a_pass():
    images = some_images(40, 1)
    api = made('is', splits=4)
    for mode in ('reals', 'fakes'):
        assert run_pass(api, mode, images,
                        16) == pytest.approx(inception_score.inception_score(look(images)[1], 4),
                                             rel=1e-6)
    with pytest.raises(ConfigError, match='splits=0'):
        made('is', splits=0)


# --------------------------------------------------------------------------------------------------
# KID

def test_mmd_by_hand():
    """Two rows in one dimension, with the kernel (x y + 1)^3."""
    x, y = np.float32([[1], [2]]), np.float32([[0], [3]])
    assert kernel_inception_distance.polynomial_mmd(x, y) == pytest.approx(27 + 1 - 2 *
                                                                           (1 + 64 + 1 + 343) / 4)


def test_kid_is_unbiased():
    """The mean over many draws from one distribution is within four standard errors of 0. A plain
    (biased) estimate is not.
    """
    r = np.random.RandomState(0)
    values = [
        kernel_inception_distance.polynomial_mmd(*r.randn(2, 20, 4).astype(np.float32))
        for _ in range(600)
    ]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error < 0.1
    shifted = [
        kernel_inception_distance.polynomial_mmd(x, y + 1)
        for x, y in r.randn(100, 2, 20, 4).astype(np.float32)
    ]
    assert np.mean(shifted) > 1


def test_kid_subsets():
    r = np.random.RandomState(0)
    x, y = r.randn(2, 50, 4).astype(np.float32)
    y = y[:30]
    np.random.seed(0)
    result = kernel_inception_distance.kernel_distance(x, y, 8, 20)
    assert np.random.rand() == np.random.RandomState(0).rand()  # the global stream was left alone
    assert result == kernel_inception_distance.kernel_distance(x, y, 8, 20) and result[1] > 0
    assert result != kernel_inception_distance.kernel_distance(x, y, 8, 20, seed=1)
    whole = kernel_inception_distance.kernel_distance(x[:30], y, 8, 1000)
    assert whole == (pytest.approx(kernel_inception_distance.polynomial_mmd(x[:30], y),
                                   rel=1e-5), 0)


def test_kid_of_a_pass():
    reals, fakes = some_images(40, 1), some_images(40, 2, 200)
    api = made('kid')
    assert run_pass(api, 'reals', reals, 16) == [0.0, 0.0]
    mmd = kernel_inception_distance.polynomial_mmd(look(reals)[0], look(fakes)[0])
    assert run_pass(api, 'fakes', fakes, 16) == pytest.approx([mmd * 1e3, 0], rel=1e-4)


# --------------------------------------------------------------------------------------------------
# Precision and recall

def test_radii_by_hand():
    points = np.float32([[0], [1], [3], [7]])
    np.testing.assert_allclose(precision_recall.squared_radii(points, 1), [1, 1, 4, 16])
    np.testing.assert_allclose(precision_recall.squared_radii(points, 3), [49, 36, 16, 49])


@pytest.mark.parametrize('bound', [1 << 25, 8])
def test_precision_and_recall_by_hand(monkeypatch, bound):
    """Balls to the first neighbour, in one dimension: that of the real at 10 extends from 2 to 18,
    that of the fake at 17 from 4 to 30.
    """
    monkeypatch.setattr(precision_recall, '_DISTANCES', bound)
    reals, fakes = np.float32([[0], [1], [2], [10]]), np.float32([[0.5], [1.5], [30], [31], [17]])
    for offset in (0, 100000):  # the squares of the latter lose all digits of the distances
        assert precision_recall.precision_recall(reals + offset, fakes + offset,
                                                 1) == (pytest.approx(3 / 5), 1)
        assert precision_recall.precision_recall(fakes + offset, reals + offset,
                                                 1) == (1, pytest.approx(3 / 5))


def test_precision_and_recall_of_equal_and_of_disjoint_sets(monkeypatch):
    monkeypatch.setattr(precision_recall, '_DISTANCES', 700)
    x = np.random.RandomState(0).randn(60, 5).astype(np.float32) + 1000
    assert precision_recall.precision_recall(x, x[::-1].copy()) == (1, 1)
    assert precision_recall.precision_recall(x, x + 100) == (0, 0)


def test_precision_of_few_modes():
    """Fakes at a single real mode: high precision, low recall."""
    r = np.random.RandomState(0)
    reals = np.concatenate([r.randn(50, 3), r.randn(50, 3) + 50]).astype(np.float32)
    precision, recall = precision_recall.precision_recall(reals, r.randn(100, 3).astype(np.float32))
    assert precision > 0.6 and 0.3 < recall <= 0.5


def test_precision_recall_of_a_pass():
    reals, fakes = some_images(40, 1), some_images(40, 2, 230)
    api = made('pr')
    assert run_pass(api, 'reals', reals, 16) == [1.0, 1.0]
    result = run_pass(api, 'fakes', fakes, 16)
    assert result == pytest.approx(precision_recall.precision_recall(
        look(reals)[0],
        look(fakes)[0])) and 0 < sum(result) < 2
    with pytest.raises(ConfigError, match='num_images of at least 6'):
        made('pr', 5, k=5)
    with pytest.raises(ConfigError, match='k=0'):
        made('pr', k=0)


# --------------------------------------------------------------------------------------------------
# Common behaviour.

@pytest.mark.parametrize('name', NAMES)
def test_names_and_formats(name):
    api = made(name)
    if name in CASES['names_and_formats']:
        assert [api.get_metric_names(),
                api.get_metric_formatting()] == CASES['names_and_formats'][name]
    assert len(api.get_metric_names()) == len(api.get_metric_formatting())


@pytest.mark.parametrize('name', NAMES)
def test_minibatch_size_does_not_matter(name):
    reals, fakes = some_images(40, 1), some_images(40, 2, 230)
    results = []
    for size in (1, 7, 40):
        api = made(name)
        run_pass(api, 'warmup', fakes, size)
        run_pass(api, 'reals', reals, size)
        results.append(run_pass(api, 'fakes', fakes, size))
    for result in results[:-1]:
        np.testing.assert_allclose(result, results[-1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', ['fid', 'kid', 'pr'])
def test_reals_state_in_place_of_reals(in_tmp, name):
    reals, fakes = some_images(40, 1), some_images(40, 2, 230)
    first, second = made(name), made(name)
    run_pass(first, 'reals', reals, 16)
    np.savez('state.npz', **first.get_reals_state())
    run_pass(second, 'reals', fakes, 16)
    run_pass(second, 'fakes', fakes, 16)
    with np.load('state.npz') as state:
        second.set_reals_state(state)
    assert run_pass(second, 'fakes', fakes, 16) == run_pass(first, 'fakes', fakes, 16)


@pytest.mark.parametrize('name', ['fid', 'kid', 'pr'])
def test_reals_that_are_missing(name):
    api = made(name)
    with pytest.raises(ConfigError, match="mode 'reals' before"):
        api.begin('fakes')
    with pytest.raises(ConfigError, match='no statistics of the reals yet'):
        api.get_reals_state()
    with pytest.raises(DataError, match='missing or of the wrong shape'):
        api.set_reals_state({'else': np.zeros(3)})


@pytest.mark.parametrize('name', ['fid', 'kid', 'pr'])
def test_a_new_pass_of_reals_forgets_the_last(name):
    api = made(name)
    run_pass(api, 'reals', some_images(40, 1), 16)
    api.begin('reals')
    with pytest.raises(ConfigError, match="mode 'reals' before"):
        api.begin('fakes')


def test_a_state_of_another_shape():
    with pytest.raises(DataError, match='wrong shape: fid_covariance'):
        made('fid').set_reals_state(dict(fid_mean=np.zeros(3), fid_covariance=np.zeros(3)))


def test_too_few_images():
    with pytest.raises(ConfigError, match='num_images of at least 2'):
        made('fid', 1)
    api = made('pr')
    with pytest.raises(ConfigError, match='Precision needs at least 4 images. Received: 3 in mode '
                                          "'reals'"):
        run_pass(api, 'reals', some_images(3, 1), 16)


# --------------------------------------------------------------------------------------------------
# Creating metrics.

def test_several_metrics_look_once(in_tmp, monkeypatch):
    (in_tmp / 'results' / '_inception').mkdir(parents=True)
    (in_tmp / 'results' / '_inception' / 'classify_image_graph_def.pb').write_bytes(graph_bytes())
    runs = []
    run = Inception._run
    monkeypatch.setattr(Inception, '_run',
                        lambda self, images: runs.append(len(images)) or run(self, images))
    several = metrics.make_all(NAMES, 12, [3, 8, 8], np.uint8, 5)
    for mode in ('reals', 'fakes'):
        for api in several:
            api.begin(mode)
        for size in (5, 5, 2):
            images = some_images(size, len(runs))
            for api in several:
                api.feed(mode, images)
        assert all(np.isfinite(api.end(mode)).all() for api in several)
    assert runs == [5, 5, 2] * 2


def test_metrics_without_inception_do_not_look_for_it(in_tmp):
    several = metrics.make_all(['swd', 'msssim'], 4, [3, 16, 16], 'uint8', 2)
    assert [api.get_metric_names()[0] for api in several] == ['SWDx1e3_16', 'MS-SSIM']


def test_missing_inception(in_tmp, monkeypatch):
    with pytest.raises(DataError, match="Tried: 'nowhere'. Put classify_image_graph_def.pb"):
        metrics.make_all(['msssim', 'fid'], 4, [3, 16, 16], 'uint8', 2, inception='nowhere')
    with pytest.raises(DataError, match="Tried: 'nowhere'"):
        metrics.make('fid', 4, [3, 16, 16], 'uint8', 2, inception='nowhere')


class Darkness:
    """A user-defined metric."""

    def __init__(self, num_images, image_shape, image_dtype, minibatch_size, power=1):
        self.arguments = num_images, image_shape, image_dtype, minibatch_size, power

    get_metric_names = get_metric_formatting = begin = feed = end = None


def test_metric_of_ones_own():
    darkness = metrics.make(f'{__name__}.Darkness', 4, (3, 16, 16), np.uint8, 2, power=3)
    assert darkness.arguments == (4, [3, 16, 16], np.uint8, 2, 3)
    with pytest.raises(ConfigError, match="no option 'powr'. Did you mean 'power'"):
        metrics.make(f'{__name__}.Darkness', 4, [3, 16, 16], np.uint8, 2, powr=3)


@pytest.mark.parametrize('name, words', [
    ('ms-ssim', "no metric 'ms-ssim'. Did you mean 'msssim'.*Known: swd, fid, msssim, kid, pr, is"),
    (7, 'no metric 7'),
    ('metrics.ms_sim.API', 'ms_ssim'),
    ('metrics.ms_ssim.msssim', 'it lacks get_metric_names')])
def test_unknown_metrics(name, words):
    import metrics.ms_ssim  # noqa: F401 (so that it can be suggested)
    with pytest.raises(ConfigError, match=words):
        metrics.make(name, 4, [3, 16, 16], np.uint8, 2)


def test_dotted_names_of_the_stock_ones():
    assert {type(made(name)).__module__
            for name in NAMES} == {metrics.SHORT_NAMES[name].rpartition('.')[0]
                                   for name in NAMES}
    assert isinstance(made(metrics.SHORT_NAMES['fid']), FeatureMetric)
