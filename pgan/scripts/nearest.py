"""Fakes beside their nearest training images."""
import os
from typing import Any

import numpy as np

import misc
from metrics.evaluator import default_minibatch_size
from metrics.neighbours import Reals
from pgan.data.class_names import names_of
from pgan.errors import ConfigError, DataError
from pgan.help_texts import filled
from pgan.options import Count, Seed, Snapshot, options_of
from pgan.reporting.nearest import (
    check_shapes,
    find_nearest,
    save_values,
    usable_spaces,
)
from pgan.reporting.nearest_picture import NARROWEST, save_picture
from pgan.reporting.nearest_section import picture_and_values
from pgan.scripts import generator
from pgan.scripts.label_choice import label_source, labels_of_seeds
from pgan.scripts.option_checks import Labels, RunId, Seeds, chosen_shrink
from pgan.scripts.script import script
from pgan.scripts.seeds import expect_alone, seed_latents, seed_list


@script
def nearest(
    run_id: RunId,
    snapshot: Snapshot = None,
    num: Count = 8,
    neighbours: Count = 4,
    seeds: Seeds | None = None,
    labels: Labels = None,
    max_reals: Count | None = None,
    random_seed: Seed = 1000,
    minibatch_size: Count | None = None,
    image_shrink: Count | None = None,
    image_zoom: Count | None = None,
    *,
    config: Any = None,
) -> str:
    """Show fakes beside their nearest training images, to see whether a network has memorised.

    Compares all images of the run's data set, by pixels and by inner features of the run's
    discriminator; mirrored ones, too, if the run mirrored. Writes a result folder: `nearest.png`,
    and the distances as `nearest.json`. Prints how far fakes are from their nearest training image,
    and how far training images are from their nearest other one.

    Args:
        run_id: the run's number, name or folder, or the path of a network pickle.
        snapshot: which network, by its kimg; 'best' = by the run's metric; None for the last.
        num: how many fakes.
        neighbours: training images beside each.
        seeds: one fake of each, in place of num and random_seed.
        labels: of a network with labels: None = those of the data set at random, 3 or temple = a
            class by number or name for all, 'rows' = a class per row.
        max_reals: look at this many training images, chosen at random; None = all.
        random_seed: of the latents.
        minibatch_size: images at a time; None = by resolution.
        image_shrink: average squares of this many pixels a side; None = chosen so that the picture
            is about 3840x2160 at most.
        image_zoom: repeat each pixel so often; None = chosen so that images are at least 96 pixels
            wide.
        config: as config.py; None = the module `config`. Gives result_dir, data_dir, desc.

    Returns:
        The result folder's path.

    Raises:
        ConfigError: an option cannot be used; nothing has been written.
        DataError: there is no such run, snapshot or data set, or the disk is in the way.
    """
    chosen = [] if seeds is None else seed_list(seeds)
    if chosen:
        expect_alone(options_of(nearest), dict(num=num, random_seed=random_seed))
    path = misc.locate_network_pkl(run_id, snapshot, result_dir=config.result_dir)
    print(f'Loading network from "{path}"...')
    D, Gs = _load(path, config)
    training_set, mirror = misc.load_dataset_for_previous_run(
        os.path.dirname(path) or os.curdir, config.result_dir, config.data_dir, config)
    check_shapes(Gs, training_set.shape)
    if training_set.num_images is None and max_reals is None:
        raise ConfigError('train.max_reals: expected a number of images to look at, as the data '
                          'set of this run has no end. Received: None.')
    image_shrink, image_zoom = _sizes(Gs, image_shrink, image_zoom, chosen or range(num),
                                      neighbours if D is None else 2 * neighbours)
    latents, cells = _inputs(Gs, path, config, chosen, num, labels, random_seed)
    size = minibatch_size or default_minibatch_size(training_set.shape[1])
    fakes = generator.draw(Gs, latents, cells, size)
    spaces = usable_spaces(Gs, D, fakes, size)
    found, seen = find_nearest(fakes, Reals(training_set, max_reals), spaces, count=neighbours,
                               minibatch_size=size, mirror=mirror)
    folder = generator.new_result_folder(config)
    picture, values = picture_and_values(folder)
    titles = _titles(chosen, cells, names_of(training_set))
    save_picture(picture, fakes, found, titles, image_shrink, image_zoom)
    lines = save_values(values, found, titles, network=path, training_images=seen,
                        of=training_set.num_images, mirrored=mirror)
    training_set.close()
    print(f'Compared {len(fakes)} fakes with {seen} training images'
          f'{", and with these mirrored" if mirror else ""}.', *map(filled, lines), sep='\n')
    generator.mark_done(folder)
    return folder


def _load(path, config):
    """D and Gs; D is None in a file that holds Gs alone."""
    try:
        _, D, Gs = misc.load_snapshot(path, config)
    except DataError:
        return None, misc.load_generator(path, config)
    return D, Gs


def _sizes(Gs, image_shrink, image_zoom, rows, columns):
    image_shrink = chosen_shrink(Gs, image_shrink, [1 + columns, len(rows)])
    side = Gs.output_shape[-1] // image_shrink
    if image_zoom is None:
        image_zoom = -(-NARROWEST // side)
    return image_shrink, image_zoom


def _inputs(Gs, path, config, seeds, num, labels, random_seed):
    """Latents and labels of the fakes."""
    if seeds:
        latents = np.concatenate([seed_latents(Gs, seed) for seed in seeds])
        return latents, labels_of_seeds(labels, Gs, path, config, seeds)
    latents = misc.random_latents(num, Gs, np.random.RandomState(random_seed))
    return latents, label_source(labels, Gs, path, config, random_seed)([1, num])


def _titles(seeds, labels, names):
    """What stands beside each fake: its seed or number, and its class."""
    titles = [f'seed {seed}' for seed in seeds] or [f'{row}' for row in range(len(labels))]
    if not labels.shape[1]:
        return titles
    classes = [names[k] if names else f'class {k}' for k in labels.argmax(axis=1)]
    return [f'{title}, {name}' for title, name in zip(titles, classes)]
