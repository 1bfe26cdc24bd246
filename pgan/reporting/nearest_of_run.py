"""Nearest training images of a run's fakes, for its report; computed when the run ends."""
import sys
import time
from collections.abc import Sequence

import numpy as np

from dataset import Dataset
from metrics.evaluator import default_minibatch_size
from metrics.neighbours import Reals
from pgan.reporting.nearest import (
    find_nearest,
    pixel_space,
    save_values,
    usable_spaces,
)
from pgan.reporting.nearest_picture import NARROWEST, save_picture
from pgan.reporting.nearest_section import picture_and_values
from tfutil import Network

NEIGHBOURS, PROBES, MOST_REALS = 3, 100, 10_000
SECONDS = 4.0  # time limit for searching the training images
SLOWEST = 0.004  # seconds per image; if D is slower, its features are left to the script `nearest`
OVERHEAD = 0.03  # seconds per minibatch, independent of its size
FEW = 4  # images of a first trial: at 1024x1024 a whole minibatch may take long


def save_nearest(folder: str, networks: Sequence[Network], training_set: Dataset,
                 latents: np.ndarray, labels: np.ndarray, num_fakes: int, *, mirror: bool,
                 kimg: float) -> bool:
    """Write the nearest training images of a run's first fakes into its folder.

    This takes a few seconds for any data set: it searches at most 10,000 training images, chosen at
    random, and stops after SECONDS. If D is too slow for that, only pixels are compared. Errors
    are printed as warnings, so that they do not end the run.

    Args:
        folder: the run's folder.
        networks: G, D, Gs.
        training_set: the data set; an endless one is skipped.
        latents, labels: inputs of the run's image grids, whose first cells are used.
        num_fakes: number of fakes; 0 = do nothing.
        mirror: whether the run mirrors its images.
        kimg: thousands of images that the run has shown.

    Returns:
        Whether the picture was written.
    """
    if num_fakes == 0 or training_set.num_images is None:
        return False
    try:
        _save(folder, networks, training_set, latents[:num_fakes], labels[:num_fakes], mirror, kimg)
    except Exception as error:  # No error may end the run.
        print(f'Warning: the report has no nearest training images: {type(error).__name__}: '
              f'{error}', file=sys.stderr)
        return False
    return True


def _save(folder, networks, training_set, latents, labels, mirror, kimg):
    _, D, Gs = networks
    size = default_minibatch_size(training_set.shape[1])
    inputs = [latents, labels][:len(Gs.input_shapes)]
    fakes = Gs.run(*inputs, minibatch_size=size, out_mul=127.5, out_add=127.5,
                   out_dtype=np.uint8)
    spaces = usable_spaces(Gs, D, fakes, size) if _is_fast(D, fakes) else [pixel_space(Gs)]
    found, seen = find_nearest(
        fakes, Reals(training_set, MOST_REALS, in_order=False), spaces, count=NEIGHBOURS,
        minibatch_size=size, mirror=mirror, num_probes=PROBES,
        seconds=SECONDS, silent=True)
    picture, values = picture_and_values(folder)
    titles = [f'{number}' for number in range(len(fakes))]
    side = fakes.shape[-1]
    save_picture(picture, fakes, found, titles, shrink=max(side // 128, 1),
                 zoom=-(-NARROWEST // side))
    save_values(values, found, titles, kimg=kimg, training_images=seen,
                of=training_set.num_images, mirrored=mirror)


def _is_fast(D: Network, fakes: np.ndarray) -> bool:
    """Whether D is fast enough for a thousand images or more in SECONDS."""
    size = default_minibatch_size(fakes.shape[-1])
    if _seconds(D, fakes[:FEW]) > 1:
        return False
    many = fakes[np.arange(size) % len(fakes)]
    _seconds(D, many)  # warm-up
    return _seconds(D, many) < OVERHEAD + SLOWEST * size


def _seconds(D, images):
    start = time.perf_counter()
    # Not D.run, which would compile a function.
    D.get_output_for(images.astype(np.float32), return_as_list=True)[0].numpy()
    return time.perf_counter() - start
