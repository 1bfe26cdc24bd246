"""Numbers for how good images are: comparisons of generated images with real ones.

    fid = metrics.make('fid', 50000, [3, 128, 128], np.uint8, 64, result_dir='results')
    fid.begin('reals')
    for minibatch in ...:  # uint8 [N, 3, 128, 128]; repeat the channel of grayscale images thrice
        fid.feed('reals', minibatch)
    fid.end('reals')
    fid.begin('fakes')
    ...
    print(dict(zip(fid.get_metric_names(), fid.end('fakes'))))

A metric is a class `API(num_images, image_shape, image_dtype, minibatch_size)`:

    num_images: images per pass.
    image_shape: [3, H, W].
    image_dtype: np.uint8, range [0, 255].
    minibatch_size: images per minibatch; the last of a pass may have fewer.

with get_metric_names() and get_metric_formatting() (a %-format per name), begin(mode), feed(mode,
minibatch), end(mode). Modes: 'reals' sets what is compared with; 'fakes' compares; 'warmup' is a
pass of any images before the reals, so that their time is not that of a first use.

An attribute `higher_is_better`, true or false, lets training keep the best snapshot by the metric:
by its first value, or by the one that an attribute `judged_by` names.

| name | module | values |
| --- | --- | --- |
| swd | sliced_wasserstein | SWDx1e3_<resolution>..., SWDx1e3_avg |
| fid | frechet_inception_distance | FID |
| is | inception_score | IS_mean, IS_std |
| msssim | ms_ssim | MS-SSIM |
| kid | kernel_inception_distance | KIDx1e3_mean, KIDx1e3_std |
| pr | precision_recall | Precision, Recall |
| modes | mnist_modes | Modes, ModesKL: of MNIST-RGB only |
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
    """An object of a metric's class; see the module."""

    def get_metric_names(self) -> list[str]: ...

    def get_metric_formatting(self) -> list[str]: ...

    def begin(self, mode: str) -> None: ...

    def feed(self, mode: str, minibatch: np.ndarray) -> None: ...

    def end(self, mode: str) -> Sequence[float]: ...


class Judge(NamedTuple):
    """The value that tells which of two snapshots is the better one.

    Attributes:
        name: of a metric's value, e.g. 'SWDx1e3_avg'.
        higher_is_better: whether the higher value wins.
        num_images: real and generated images that it is measured on.
    """
    name: str
    higher_is_better: bool
    num_images: int


def judge_of(metric: Metric, num_images: int) -> Judge | None:
    """The value by which a metric judges snapshots.

    Returns:
        None if the metric does not say whether higher or lower is better.

    Raises:
        ConfigError: its `judged_by` is none of its values, or `higher_is_better` no truth value.
    """
    higher = getattr(metric, 'higher_is_better', None)
    if higher is None:
        return None
    names = metric.get_metric_names()
    name = getattr(metric, 'judged_by', names[0])
    if not isinstance(higher, (bool, np.bool_)) or name not in names:
        raise ConfigError(f'The metric {type(metric).__module__}.{type(metric).__name__} cannot '
                          'tell the better of two snapshots. Expected higher_is_better = True or '
                          f'False, and judged_by one of {", ".join(names)}. Received: {higher!r} '
                          f'and {name!r}. Correct these attributes of the class.')
    return Judge(name, bool(higher), num_images)


# uint8 [N, 3, H, W] to (features, probabilities), as `inception.Inception` does it.
FeatureFunction = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def make(name: str, num_images: int, image_shape: Sequence[int], image_dtype: npt.DTypeLike,
         minibatch_size: int, inception: FeatureFunction | str | os.PathLike | None = None,
         result_dir: str | os.PathLike = 'results', data_dir: str | os.PathLike = 'datasets',
         **options: Any) -> Metric:
    """Make one metric; see `make_all` for several, which then share the Inception network.

    Args:
        name: a short name, or the dotted name of a class of your own.
        num_images, image_shape, image_dtype, minibatch_size: see the module.
        inception: for the metrics that use it: an `inception.Inception`, or where its graph is.
            None to look in result_dir, or download it.
        result_dir: the folder of all results.
        data_dir: the folder of all data sets.
        options: further arguments of that class.

    Returns:
        An object of the class.

    Raises:
        ConfigError: there is no such metric, it has no such option, or does not work with such
            images.
        DataError: the Inception network cannot be had.
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
    """Make several metrics that share the Inception network.

    It is loaded once, and looks at each minibatch once however many of them use it.

    Args:
        names: names as in `make`.
        others: as in `make`.

    Returns:
        An object for each name.

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
    """Raise ConfigError unless each is a metric's name, as in `make`."""
    for name in names:
        _find(name)


def check_short_names(names: Sequence[str]) -> None:
    """Raise ConfigError unless each is a short name or may be the dotted name of a class, which is
    not imported.
    """
    for name in names:
        dotted = SHORT_NAMES.get(name, name) if isinstance(name, str) else ''
        if '.' not in dotted:
            raise ConfigError(f'There is no metric {name!r}.{did_you_mean(name, SHORT_NAMES)} '
                              f'Known: {", ".join(SHORT_NAMES)}; or the dotted name of a class of '
                              'your own, e.g. my_metrics.API.')


def _find(name):
    """The class of a name."""
    check_short_names([name])
    dotted = SHORT_NAMES.get(name, name)
    from tfutil.objects import import_obj
    metric = import_obj(dotted)
    missing = [method for method in _METHODS if not hasattr(metric, method)]
    if missing:
        raise ConfigError(f'{name!r} is no metric: it lacks {", ".join(missing)}. Expected a '
                          f'class as `metrics` describes, or one of {", ".join(SHORT_NAMES)}.')
    return metric
