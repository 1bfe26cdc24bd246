"""Nearest training images of fakes: a check for memorisation.

Images are compared by pixels and by features of the run's own discriminator. The yardstick for a
distance is the typical distance of a training image to its nearest other training image.
"""
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from metrics.neighbours import Describe, Neighbours, Reals, mirrored, shrunk_pixels
from pgan.errors import ConfigError
from pgan.files import atomic_write, to_json
from pgan.progress_bar import progress_bar
from pgan.reporting.inner_features import ROUNDING, feature_function
from tfutil import Network

MOST_PIXELS = 128  # resolution of the comparison by pixels; larger images are downscaled
NUM_PROBES = 200  # training images used to measure the typical distance
NEAR = 0.05  # A fake is near if it is below this quantile of the typical distances.
SURPRISING = 0.01  # significance level of the number of near fakes
SUSPECTED = 'the network may have memorised images'


class Space(NamedTuple):
    """A vector space in which images are compared.

    Attributes:
        name: 'pixels' or 'features'.
        words: description of the space, for messages.
        describe: function from uint8 [N, C, R, R] to vectors [N, ...].
        unit: function from the length of a vector to the divisor of distances.
        rounding: see `metrics.neighbours.Neighbours`.
    """
    name: str
    words: str
    describe: Describe
    unit: Callable[[int], float]
    rounding: float = 0.0


def pixel_space(Gs: Network) -> Space:
    """Comparison by pixels, at the generator's current resolution (at most MOST_PIXELS).

    Distances are root mean squared differences of pixels, in units of 0 to 255.
    """
    resolution = Gs.output_shape[-1]
    # Output of a generator that is still growing is upscaled from this resolution.
    shown = min(max(resolution >> math.floor(Gs.lod or 0.0), 1), MOST_PIXELS)
    return Space('pixels', f'pixels ({shown}x{shown})',
                 lambda images: shrunk_pixels(images, shown),
                 lambda size: math.sqrt(size) * (resolution // shown) ** 2)


def feature_space(D: Network, minibatch_size: int) -> Space:
    """Comparison by discriminator features; see `inner_features.feature_function`.

    Distances are root mean squared differences of features.
    """
    return Space('features', 'features of D', feature_function(D, minibatch_size), math.sqrt,
                 ROUNDING)


def usable_spaces(Gs: Network, D: Network | None, fakes: np.ndarray,
                  minibatch_size: int) -> list[Space]:
    """The spaces available for these networks: pixels, and features of D.

    If D is None or has no features, a note is printed and only pixels are used.
    """
    try:
        if D is None:
            raise ConfigError('the file holds no discriminator.')
        features = feature_space(D, minibatch_size)
        features.describe(fakes[:minibatch_size])
    except ConfigError as error:
        print(f'Note: comparing images by pixels only: {error}')
        return [pixel_space(Gs)]
    return [pixel_space(Gs), features]


class Found(NamedTuple):
    """Nearest training images of some fakes in one space.

    Attributes:
        space: name of the `Space`.
        words: description of the `Space`.
        distances, numbers, is_mirrored: the K nearest neighbours of each fake, [fakes, K]; see
            `metrics.neighbours.Neighbours`.
        typical: float64 [probes], distances of training images to their nearest other training
            image; empty if the data set has only one image.
        images: {number: uint8 [C, R, R]} of all neighbours.
    """
    space: str
    words: str
    distances: np.ndarray
    numbers: np.ndarray
    is_mirrored: np.ndarray
    typical: np.ndarray
    images: dict[int, np.ndarray]

    @property
    def ratios(self) -> np.ndarray:
        """Distances divided by the median typical distance: [fakes, K]."""
        median = float(np.median(self.typical)) if len(self.typical) else 0.0
        return self.distances / (median if median > 0 else 1.0)


def find_nearest(fakes: np.ndarray, reals: Reals, spaces: Sequence[Space], *, count: int,
                 minibatch_size: int, mirror: bool = False, num_probes: int = NUM_PROBES,
                 seconds: float = math.inf, silent: bool = False) -> tuple[list[Found], int]:
    """Search for the training images nearest to fakes.

    Memory: one minibatch, the vectors of fakes and probes, and the neighbours found.

    Args:
        fakes: uint8 [N, C, R, R].
        reals: the training images.
        spaces: spaces in which to compare them.
        count: number of neighbours per fake.
        minibatch_size: training images per minibatch.
        mirror: whether the network was trained with mirrored images, too.
        num_probes: training images used to measure the typical distance.
        seconds: time limit for the search; at least one minibatch is searched.
        silent: whether to hide the progress bar.

    Returns:
        (neighbours in each space, number of training images searched).
    """
    searches = [_Search(space, count, mirror) for space in spaces]
    for start in range(0, len(fakes), minibatch_size):
        for search in searches:
            search.add_fakes(fakes[start:start + minibatch_size])
    for numbers, images in reals.sample(num_probes, minibatch_size):
        for search in searches:
            search.add_probes(numbers, images)
    seen, deadline = 0, time.monotonic() + seconds
    with progress_bar(total=reals.count, unit='img', desc='Training images',
                      silent=silent) as bar:
        for numbers, images in reals.minibatches(minibatch_size):
            for search in searches:
                search.feed(numbers, images)
            seen += len(numbers)
            bar.update(len(numbers))
            if time.monotonic() > deadline:
                break
    return [search.found() for search in searches], seen


class _Search:
    """Neighbours of fakes and of probes in one space."""

    def __init__(self, space, count, mirror):
        self._space, self._count, self._mirror = space, count, mirror
        self._vectors, self._mirrored, self._own = [], [], []
        self._num_fakes = 0
        self._images = {}
        self._neighbours = None

    def add_fakes(self, images):
        self.add_probes(np.full(len(images), -1), images)
        self._num_fakes += len(images)

    def add_probes(self, numbers, images):
        self._own.append(numbers)
        self._vectors.append(self._space.describe(images))
        if self._mirror:
            self._mirrored.append(self._space.describe(mirrored(images)))

    def feed(self, numbers, images):
        if self._neighbours is None:
            self._neighbours = self._begin()
        self._neighbours.feed(numbers, self._space.describe(images))
        wanted = set(self._neighbours.numbers[:self._num_fakes].ravel().tolist()) - {-1}
        here = {int(number): index for index, number in enumerate(numbers)}
        self._images = {number: self._images[number] if number in self._images
                        else images[here[number]].copy() for number in wanted}

    def _begin(self):
        vectors = np.concatenate(self._vectors)
        mirrored_vectors = np.concatenate(self._mirrored) if self._mirror else None
        self._unit = self._space.unit(vectors[0].size)
        self._vectors, self._mirrored = [], []
        return Neighbours(vectors, self._count, mirrored_vectors, np.concatenate(self._own),
                          self._space.rounding)

    def found(self):
        n, all_of = self._num_fakes, self._neighbours
        typical = all_of.distances[n:, 0] / self._unit
        return Found(self._space.name, self._space.words, all_of.distances[:n] / self._unit,
                     all_of.numbers[:n], all_of.is_mirrored[:n],
                     typical[np.isfinite(typical)], self._images)


# --------------------------------------------------------------------------------------------------
# Results as text and JSON.


def verdict(found: Found) -> str:
    """Summary of the distances, with figures and a conclusion about memorisation."""
    nearest, typical = found.distances[:, 0], found.typical
    words = (f'{found.words[0].upper()}{found.words[1:]}: the fakes are '
             f'{_value(np.median(nearest))} from their nearest training image (median of '
             f'{len(nearest)}, from {_value(nearest.min())} to {_value(nearest.max())})')
    if not len(typical):
        return f'{words}. There is no other training image to compare with.'
    low = float(np.quantile(typical, NEAR))
    words += (f'; training images are {_value(np.median(typical))} from their nearest other one '
              f'(median of {len(typical)}; {100 * NEAR:.0f} % are below {_value(low)}).')
    copies, near = int((nearest == 0).sum()), int((nearest < low).sum())
    if copies:
        return f'{words} {copies} of {len(nearest)} fakes are copies of training images.'
    count = (f'{near} of {len(nearest)} fakes are nearer to a training image than '
             f'{100 - 100 * NEAR:.0f} % of training images are to another')
    if _chance(near, len(nearest)) < SURPRISING:
        return f'{words} {count}, more than by chance: {SUSPECTED}.'
    return f'{words} {count}, no more than by chance: no sign of memorising.'


def verdict_of_one(found: Found) -> str:
    """Conclusion about the first fake alone, which says less than `verdict` on many."""
    nearest, typical = found.distances[0, 0], found.typical
    if nearest == 0:
        return 'A copy of a training image.'
    if not len(typical):
        return 'There is no other training image to compare with.'
    if nearest < np.quantile(typical, NEAR):
        return (f'Nearer to a training image than {100 - 100 * NEAR:.0f} % of training images are '
                'to another: it may be memorised. Compare the pictures.')
    nearer = 100 * np.mean(typical < nearest)
    return f'{nearer:.0f} % of training images are nearer to another one: no sign of memorising.'


def _value(distance):
    return f'{distance:.3g}'


def _chance(near, count):
    """Probability of at least `near` near fakes if fakes were distributed like training images."""
    return sum(math.comb(count, k) * NEAR**k * (1 - NEAR)**(count - k)
               for k in range(near, count + 1))


def save_values(path: str, found: Sequence[Found], titles: Sequence[str],
                **about: Any) -> list[str]:
    """Write distances and summaries as JSON.

    Args:
        path: path of the file.
        found: the neighbours in each space.
        titles: title of each fake, e.g. 'seed 42'.
        about: additional top-level entries of the file.

    Returns:
        The summaries, one line per space.
    """
    lines = [verdict(each) for each in found]
    if len({SUSPECTED in line or 'are copies' in line for line in lines}) > 1:
        lines.append('The two comparisons disagree: judge by the pictures. By pixels, smooth or '
                     'sparse images are near to many others, and shifted copies are far; features '
                     'are what D looks at.')
    spaces = {each.space: dict(
        what=each.words, typical=_summary(each.typical),
        fakes=[dict(fake=title, neighbours=[
            dict(image=int(number), mirrored=bool(flag), distance=float(distance))
            for number, flag, distance in zip(*row) if number >= 0])
            for title, *row in zip(titles, each.numbers, each.is_mirrored, each.distances)],
    ) for each in found}
    with atomic_write(path, 'w') as file:
        file.write(to_json(dict(about, text=lines, **spaces), indent=1))
    return lines


def _summary(typical):
    if not len(typical):
        return dict(images=0)
    return {'images': len(typical), 'median': np.median(typical),
            f'quantile_{NEAR}': np.quantile(typical, NEAR)}


def check_shapes(Gs: Network, shape: Sequence[int]) -> None:
    """Raise ConfigError unless a generator's images have the data set's shape [C, R, R]."""
    if list(Gs.output_shape[1:]) != list(shape):
        raise ConfigError('Fakes and images of the data set must have the same shape. Expected a '
                          f'data set of {list(Gs.output_shape[1:])}, the output shape of the '
                          f'network. Received: a data set of {list(shape)}. Choose the run that '
                          'trained the network.')
