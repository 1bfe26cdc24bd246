"""Nearest training images of a run, made when it ends, for its report."""
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
SECONDS = 4.0  # of looking at training images
SLOWEST = 0.004  # seconds of D for an image, beyond which its features are left to the script
OVERHEAD = 0.03  # seconds of a minibatch, whatever its size
FEW = 4  # images of a first trial: at 1024x1024 a minibatch may take long


def save_nearest(folder: str, networks: Sequence[Network], training_set: Dataset,
                 latents: np.ndarray, labels: np.ndarray, num_fakes: int, *, mirror: bool,
                 kimg: float) -> bool:
    """Write the nearest training images of a run's first fakes into its folder.

    Takes some seconds, however large the data set is: it looks at 10,000 training images, chosen at
    random, or at as many as it has time for in SECONDS. Where D is too slow for that, only pixels
    are compared. An error is a warning: a section of the report is not worth a run.

    Args:
        folder: of the run.
        networks: G, D, Gs.
        training_set: the data set; one without an end is left out.
        latents, labels: of the run's image grids, whose first cells are shown.
        num_fakes: how many; 0 = do nothing.
        mirror: whether the run mirrors its images.
        kimg: thousands of images that the run has shown.

    Returns:
        Whether the picture was written.
    """
    if num_fakes == 0 or training_set.num_images is None:
        return False
    try:
        _save(folder, networks, training_set, latents[:num_fakes], labels[:num_fakes], mirror, kimg)
    except Exception as error:  # whatever it is
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
    """Whether D can look at a thousand images and more in SECONDS."""
    size = default_minibatch_size(fakes.shape[-1])
    if _seconds(D, fakes[:FEW]) > 1:
        return False
    many = fakes[np.arange(size) % len(fakes)]
    _seconds(D, many)  # the first time is slower
    return _seconds(D, many) < OVERHEAD + SLOWEST * size


def _seconds(D, images):
    start = time.perf_counter()
    # not D.run, which compiles
    D.get_output_for(images.astype(np.float32), return_as_list=True)[0].numpy()
    return time.perf_counter() - start
