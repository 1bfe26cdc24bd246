"""Fakes and their nearest training images: has a network memorised what it was trained on?

By the pixels, and by inner features of the run's own discriminator. Whether a distance is small
tells the comparison with training images: how far is one from its nearest other one?
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

MOST_PIXELS = 128  # a side, of the comparison by pixels; larger images are averaged
NUM_PROBES = 200  # training images whose own nearest ones are looked for
NEAR = 0.05  # the part of training images that are nearer than a fake has to be, to count as near
SURPRISING = 0.01  # probability below which as many near fakes are no chance
SUSPECTED = 'the network may have memorised images'


class Space(NamedTuple):
    """A way to compare images.

    Attributes:
        name: 'pixels' or 'features'.
        words: what is compared, for messages.
        describe: function from uint8 [N, C, R, R] to vectors [N, ...].
        unit: what a distance is divided by.
        rounding: see `metrics.neighbours.Neighbours`.
    """
    name: str
    words: str
    describe: Describe
    unit: Callable[[int], float]
    rounding: float = 0.0


def pixel_space(Gs: Network) -> Space:
    """Comparison by pixels, at the resolution that a generator has grown to.

    A distance is the root of the mean squared difference of two images' pixels, 0 to 255.
    """
    resolution = Gs.output_shape[-1]
    # what it draws is enlarged from there
    shown = min(max(resolution >> math.floor(Gs.lod or 0.0), 1), MOST_PIXELS)
    return Space('pixels', f'pixels ({shown}x{shown})',
                 lambda images: shrunk_pixels(images, shown),
                 lambda size: math.sqrt(size) * (resolution // shown) ** 2)


def feature_space(D: Network, minibatch_size: int) -> Space:
    """Comparison by the features of a discriminator; see `inner_features.feature_function`.

    A distance is the root of the mean squared difference of two images' features.
    """
    return Space('features', 'features of D', feature_function(D, minibatch_size), math.sqrt,
                 ROUNDING)


def usable_spaces(Gs: Network, D: Network | None, fakes: np.ndarray,
                  minibatch_size: int) -> list[Space]:
    """The spaces in which these networks let images be compared: pixels, and features of D.

    Prints a note where D is None or has no features.
    """
    try:
        if D is None:
            raise ConfigError('the file holds no discriminator.')
        features = feature_space(D, minibatch_size)
        features.describe(fakes[:minibatch_size])
    except ConfigError as error:
        print(f'Note: images are compared by pixels only: {error}')
        return [pixel_space(Gs)]
    return [pixel_space(Gs), features]


class Found(NamedTuple):
    """The nearest training images of some fakes.

    Attributes:
        space: name of the `Space`.
        words: its words.
        distances, numbers, is_mirrored: of the neighbours, [fakes, K], see
            `metrics.neighbours.Neighbours`.
        typical: float64 [probes], the distances of training images to their nearest other ones;
            empty if there is but one image.
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
        """Distances, divided by the median of the typical ones: [fakes, K]."""
        median = float(np.median(self.typical)) if len(self.typical) else 0.0
        return self.distances / (median if median > 0 else 1.0)


def find_nearest(fakes: np.ndarray, reals: Reals, spaces: Sequence[Space], *, count: int,
                 minibatch_size: int, mirror: bool = False, num_probes: int = NUM_PROBES,
                 seconds: float = math.inf, silent: bool = False) -> tuple[list[Found], int]:
    """Look for the training images that are nearest to fakes.

    Memory: a minibatch, the vectors of fakes and probes, and the neighbours found.

    Args:
        fakes: uint8 [N, C, R, R].
        reals: the training images.
        spaces: ways to compare them.
        count: neighbours of each fake.
        minibatch_size: training images at a time.
        mirror: whether the network was trained on mirrored images, too.
        num_probes: training images to measure the typical distance with.
        seconds: stop after so long a look at the training images, with at least one minibatch.
        silent: no progress bar.

    Returns:
        (what was found in each space, number of training images that were looked at).
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
# In words and numbers.


def verdict(found: Found) -> str:
    """What the distances say, in plain words with the figures: a sentence or two."""
    nearest, typical = found.distances[:, 0], found.typical
    words = (f'{found.words[0].upper()}{found.words[1:]}: the fakes are '
             f'{_value(np.median(nearest))} from their nearest training image (median of '
             f'{len(nearest)}, from {_value(nearest.min())} to {_value(nearest.max())})')
    if not len(typical):
        return f'{words}. There is no other training image to compare that with.'
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


def _value(distance):
    return f'{distance:.3g}'


def _chance(near, count):
    """Probability of at least so many near ones, if fakes were like training images."""
    return sum(math.comb(count, k) * NEAR**k * (1 - NEAR)**(count - k)
               for k in range(near, count + 1))


def save_values(path: str, found: Sequence[Found], titles: Sequence[str],
                **about: Any) -> list[str]:
    """Write distances and texts as JSON.

    Args:
        path: of the file.
        found: what was found, in each space.
        titles: what each fake is, e.g. 'seed 42'.
        about: what else the file says, by name.

    Returns:
        The lines of text, also for the user.
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
    """Raise ConfigError unless a generator draws images of the data set's shape [C, R, R]."""
    if list(Gs.output_shape[1:]) != list(shape):
        raise ConfigError('The fakes cannot be compared with the images of the data set. Expected '
                          f'images of shape {list(Gs.output_shape[1:])}, as the network draws '
                          f'them. Received: a data set of {list(shape)}. Choose the run that the '
                          'network is of.')
