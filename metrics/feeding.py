"""Checks of the images that metrics are fed, and multithreading over minibatches."""
import concurrent.futures
import functools
import os
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pgan.errors import ConfigError

MODES = ('warmup', 'reals', 'fakes')
if hasattr(os, 'sched_getaffinity'):
    PROCESSORS = len(os.sched_getaffinity(0))
else:
    PROCESSORS = os.cpu_count() or 1

_Part = TypeVar('_Part')
_Result = TypeVar('_Result')


def check_setting(num_images: int, image_shape: Sequence[int], image_dtype: npt.DTypeLike,
                  minibatch_size: int, *, fewest: int = 1) -> None:
    """Check the four arguments common to all metrics.

    Args:
        num_images: images per pass, at least `fewest`.
        image_shape: [3, H, W].
        image_dtype: uint8, as a NumPy type or its name.
        minibatch_size: images per minibatch, at least 1.

    Raises:
        ConfigError: a number is too small, or the images are not RGB or not uint8.
    """
    if len(image_shape) != 3 or image_shape[0] != 3:
        raise ConfigError('Metrics compare RGB images. Expected image_shape=[3, height, width]. '
                          f'Received: {list(image_shape)}. Repeat the channel of grayscale images '
                          'three times before feeding them: np.repeat(images, 3, axis=1).')
    if np.dtype(image_dtype) != np.uint8:
        raise ConfigError('Metrics compare images of type uint8, range [0, 255]. Received: '
                          f'image_dtype={np.dtype(image_dtype)}. Convert them first, e.g. with '
                          'misc.adjust_dynamic_range, rounding and clipping.')
    numbers = (('num_images', num_images, fewest), ('minibatch_size', minibatch_size, 1))
    for name, value, least in numbers:
        if value < least:
            raise ConfigError(f'This metric needs {name} of at least {least}. Received: '
                              f'{name}={value}. Set a larger number.')


def check_mode(mode: str) -> None:
    """Raise ConfigError unless the mode is 'warmup', 'reals' or 'fakes'."""
    if mode not in MODES:
        raise ConfigError(f'Expected one of the modes {", ".join(map(repr, MODES))}. Received: '
                          f'mode={mode!r}. Correct the name.')


def check_minibatch(minibatch: npt.ArrayLike, image_shape: Sequence[int]) -> np.ndarray:
    """Return a minibatch as an array, after checking that it is uint8 [N, *image_shape].

    Raises:
        ConfigError: the shape or type is wrong.
    """
    minibatch = np.asarray(minibatch)
    if minibatch.dtype != np.uint8 or minibatch.shape[1:] != tuple(image_shape):
        raise ConfigError('Expected a minibatch of uint8 [N, '
                          f'{", ".join(map(str, image_shape))}]. Received: {minibatch.dtype} '
                          f'{list(minibatch.shape)}. Feed images of the type and shape that the '
                          'metric was created for (grayscale repeated to three channels).')
    return minibatch


def in_threads(function: Callable[[_Part], _Result], parts: Sequence[_Part]) -> list[_Result]:
    """`[function(part) for part in parts]`, in parallel on all processors.

    A speed-up only where NumPy's inner loops do the work, which release the GIL. Calls must not be
    nested.
    """
    if len(parts) < 2 or PROCESSORS < 2:
        return [function(part) for part in parts]
    return list(_threads().map(function, parts))


@functools.cache
def _threads():
    """The thread pool, started once: starting threads takes longer than a small minibatch."""
    return concurrent.futures.ThreadPoolExecutor(PROCESSORS, thread_name_prefix='metrics')


def slices(count: int, size: int) -> list[slice]:
    """Slices of at most `size` that together cover range(count)."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def shares(count: int) -> list[slice]:
    """At most one slice of range(count) per processor."""
    return slices(count, max(1, -(-count // PROCESSORS)))
