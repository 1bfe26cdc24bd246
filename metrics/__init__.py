"""Image quality metrics: comparisons of generated images with real ones.

    fid = metrics.make('fid', 50000, [3, 128, 128], np.uint8, 64, result_dir='results')
    fid.begin('reals')
    for minibatch in ...:  # uint8 [N, 3, 128, 128]; repeat a grayscale channel three times
        fid.feed('reals', minibatch)
    fid.end('reals')
    fid.begin('fakes')
    ...
    print(dict(zip(fid.get_metric_names(), fid.end('fakes'))))

A metric is a class `API(num_images, image_shape, image_dtype, minibatch_size)`:

    num_images: images per pass.
    image_shape: [3, H, W].
    image_dtype: np.uint8, range [0, 255].
    minibatch_size: images per minibatch; the last one of a pass may have fewer.

Its methods are get_metric_names(), get_metric_formatting() (a %-format per name), begin(mode),
feed(mode, minibatch) and end(mode). There are three modes:

    'reals': the images that later passes are compared with.
    'fakes': compares its images with the reals.
    'warmup': a pass of arbitrary images before the reals, so that one-time work is not timed.

A boolean attribute `higher_is_better` allows training to keep the best snapshot by this metric. It
uses the first value, or the one named by an attribute `judged_by`.

| name | module | values |
| --- | --- | --- |
| swd | sliced_wasserstein | SWDx1e3_<resolution>..., SWDx1e3_avg |
| fid | frechet_inception_distance | FID |
| is | inception_score | IS_mean, IS_std |
| msssim | ms_ssim | MS-SSIM |
| kid | kernel_inception_distance | KIDx1e3_mean, KIDx1e3_std |
| pr | precision_recall | Precision, Recall |
| modes | mnist_modes | Modes, ModesKL (MNIST-RGB only) |
"""
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pgan.errors import ConfigError, did_you_mean

SHORT_NAMES = dict(
    swd='metrics.sliced_wasserstein.API',
    fid='metrics.frechet_inception_distance.API',
    msssim='metrics.ms_ssim.API',
    kid='metrics.kernel_inception_distance.API',
    pr='metrics.precision_recall.API',
    **{'is': 'metrics.inception_score.API'},
    modes='metrics.mnist_modes.API')
_METHODS = ('get_metric_names', 'get_metric_formatting', 'begin', 'feed', 'end')


class Metric(Protocol):
    """Interface of a metric; see the module."""

    def get_metric_names(self) -> list[str]: ...

    def get_metric_formatting(self) -> list[str]: ...

    def begin(self, mode: str) -> None: ...

    def feed(self, mode: str, minibatch: np.ndarray) -> None: ...

    def end(self, mode: str) -> Sequence[float]: ...


class Judge(NamedTuple):
    """The metric value that ranks snapshots.

    Attributes:
        name: name of the value, e.g. 'SWDx1e3_avg'.
        higher_is_better: whether higher values are better.
        num_images: number of real images, and of generated images, that it is measured on.
    """
    name: str
    higher_is_better: bool
    num_images: int


def judge_of(metric: Metric, num_images: int) -> Judge | None:
    """The value of a metric that ranks snapshots.

    Returns:
        None if the metric has no attribute `higher_is_better`.

    Raises:
        ConfigError: `judged_by` is not the name of a value, or `higher_is_better` is not a bool.
    """
    higher = getattr(metric, 'higher_is_better', None)
    if higher is None:
        return None
    names = metric.get_metric_names()
    name = getattr(metric, 'judged_by', names[0])
    if not isinstance(higher, (bool, np.bool_)) or name not in names:
        raise ConfigError(f'The metric {type(metric).__module__}.{type(metric).__name__} cannot '
                          'rank snapshots. Expected higher_is_better = True or '
                          f'False, and judged_by one of {", ".join(names)}. Received: {higher!r} '
                          f'and {name!r}. Correct these attributes of the class.')
    return Judge(name, bool(higher), num_images)


# Function from uint8 [N, 3, H, W] to (features, probabilities), such as `inception.Inception`.
FeatureFunction = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def make(name: str, num_images: int, image_shape: Sequence[int], image_dtype: npt.DTypeLike,
         minibatch_size: int, inception: FeatureFunction | str | os.PathLike | None = None,
         result_dir: str | os.PathLike = 'results', data_dir: str | os.PathLike = 'datasets',
         **options: Any) -> Metric:
    """Create one metric. Use `make_all` for several, so that they share the Inception network.

    Args:
        name: a short name, or the dotted name of a class of your own.
        num_images, image_shape, image_dtype, minibatch_size: see the module.
        inception: Inception network for the metrics that need it: an `inception.Inception`, or the
            path of its graph. None = find it in result_dir, or download it.
        result_dir: folder of all results.
        data_dir: folder of all data sets.
        options: further arguments of the class.

    Returns:
        An instance of the class.

    Raises:
        ConfigError: the metric or the option does not exist, or the metric does not support these
            images.
        DataError: the Inception network is not available.
    """
    metric = _find(name)
    known = inspect.signature(metric).parameters
    takes_all = any(parameter.kind == parameter.VAR_KEYWORD for parameter in known.values())
    unknown = [] if takes_all else [option for option in options if option not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known)
        raise ConfigError(f'Metric {name!r} has no option {unknown[0]!r}.{hint} Known: '
                          f'{", ".join(known)}.')
    places = dict(inception=inception, result_dir=result_dir, data_dir=data_dir)
    options.update({place: value for place, value in places.items() if place in known or takes_all})
    return metric(num_images=num_images, image_shape=list(image_shape), image_dtype=image_dtype,
                  minibatch_size=minibatch_size, **options)


def make_all(names: Sequence[str], num_images: int, image_shape: Sequence[int],
             image_dtype: npt.DTypeLike, minibatch_size: int,
             inception: FeatureFunction | str | os.PathLike | None = None,
             result_dir: str | os.PathLike = 'results',
             data_dir: str | os.PathLike = 'datasets') -> list[Metric]:
    """Create several metrics that share the Inception network.

    The network is loaded once, and evaluates each minibatch once for all metrics.

    Args:
        names: names as in `make`.
        others: as in `make`.

    Returns:
        One metric per name.

    Raises:
        ConfigError, DataError: as in `make`.
    """
    classes = [_find(name) for name in names]
    if not callable(inception):
        from metrics.inception import FeatureMetric, Inception
        types = [metric for metric in classes if isinstance(metric, type)]
        if any(issubclass(metric, FeatureMetric) for metric in types):
            inception = Inception.find(inception, result_dir)
    common = (num_images, image_shape, image_dtype, minibatch_size, inception, result_dir, data_dir)
    return [make(name, *common) for name in names]


def check_names(names: Sequence[str]) -> None:
    """Raise ConfigError unless all are names of metrics, as in `make`."""
    for name in names:
        _find(name)


def check_short_names(names: Sequence[str]) -> None:
    """Raise ConfigError unless each name is a short name or has the form of a dotted name.

    Nothing is imported, so a class that does not exist passes.
    """
    for name in names:
        dotted = SHORT_NAMES.get(name, name) if isinstance(name, str) else ''
        if '.' not in dotted:
            raise ConfigError(f'There is no metric {name!r}.{did_you_mean(name, SHORT_NAMES)} '
                              f'Known: {", ".join(SHORT_NAMES)}; or the dotted name of a class of '
                              'your own, e.g. my_metrics.API.')


def _find(name):
    """Class of a metric, by short or dotted name."""
    check_short_names([name])
    dotted = SHORT_NAMES.get(name, name)
    from tfutil.objects import import_obj
    metric = import_obj(dotted)
    missing = [method for method in _METHODS if not hasattr(metric, method)]
    if missing:
        raise ConfigError(f'{name!r} is not a metric: it lacks {", ".join(missing)}. Expected a '
                          f'class as `metrics` describes, or one of {", ".join(SHORT_NAMES)}.')
    return metric
