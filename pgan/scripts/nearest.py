"""Fakes next to their nearest training images."""
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
    """Show fakes next to their nearest training images, to see whether a network has memorized.

    Compares all images of the run's data set, by pixels and by features of the run's discriminator;
    mirrored images, too, if the run used mirroring. Writes `nearest.png` and the distances as
    `nearest.json` to a result folder. Prints the distances from fakes to their nearest training
    image, and from training images to the nearest other one.

    Args:
        run_id: the run's number, name or folder, or the path of a network pickle.
        snapshot: kimg of the network; 'best' = the best by the run's metric; None = the last.
        num: number of fakes.
        neighbours: number of training images next to each fake.
        seeds: show one fake per seed; replaces num and random_seed.
        labels: for a network with labels: None = random labels of the data set, 3 or temple = one
            class by number or name for all images, 'rows' = a class per row.
        max_reals: compare with this number of random training images; None = all.
        random_seed: seed of the latents.
        minibatch_size: images at a time; None = by resolution.
        image_shrink: average boxes of this many pixels across and down; None = chosen so that the
            picture is at most about 3840x2160.
        image_zoom: repeat each pixel this many times across and down; None = chosen so that images
            are at least 96 pixels wide.
        config: configuration like config.py; None = the module `config`. Uses result_dir, data_dir
            and desc.

    Returns:
        The result folder's path.

    Raises:
        ConfigError: an option cannot be used; nothing has been written.
        DataError: there is no such run, snapshot or data set, or a file cannot be written.
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
        raise ConfigError('train.max_reals: expected a number of images, as the data set of this '
                          'run has no fixed number of images. Received: None.')
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
    """Load D and Gs; D is None if the file holds only Gs."""
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
    """Return latents and labels of the fakes."""
    if seeds:
        latents = np.concatenate([seed_latents(Gs, seed) for seed in seeds])
        return latents, labels_of_seeds(labels, Gs, path, config, seeds)
    latents = misc.random_latents(num, Gs, np.random.RandomState(random_seed))
    return latents, label_source(labels, Gs, path, config, random_seed)([1, num])


def _titles(seeds, labels, names):
    """Return the caption of each fake: its seed or number, and its class."""
    titles = [f'seed {seed}' for seed in seeds] or [f'{row}' for row in range(len(labels))]
    if not labels.shape[1]:
        return titles
    classes = [names[k] if names else f'class {k}' for k in labels.argmax(axis=1)]
    return [f'{title}, {name}' for title, name in zip(titles, classes)]
