"""PNG files of images of a trained generator."""
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import misc
from pgan.options import Count, Seed, Snapshot, options_of
from pgan.progress_bar import progress_bar
from pgan.scripts import generator
from pgan.scripts.label_choice import label_source, labels_of_seeds, report_rows
from pgan.scripts.option_checks import (
    FileName,
    GridSize,
    Labels,
    RunId,
    Seeds,
    chosen_shrink,
    name_of_label,
)
from pgan.scripts.script import script
from pgan.scripts.seeds import expect_alone, seed_latents, seed_list


@script
def generate_fake_images(
    run_id: RunId,
    snapshot: Snapshot = None,
    grid_size: GridSize = [1, 1],
    num_pngs: Count = 1,
    image_shrink: Count | None = 1,
    png_prefix: FileName | None = None,
    random_seed: Seed = 1000,
    minibatch_size: Count = 8,
    labels: Labels = None,
    seeds: Seeds | None = None,
    *,
    config: Any = None,
) -> str:
    """Write PNG files of generated images to a new result folder.

    Args:
        run_id: the run's number, name or folder, or the path of a network pickle.
        snapshot: kimg of the network; 'best' = the best by the run's metric; None = the last.
        grid_size: images across and down in each PNG.
        num_pngs: number of PNGs.
        image_shrink: average boxes of this many pixels across and down; None = chosen so that a
            grid is at most 3840x2160.
        png_prefix: prefix of file names, before '%06d.png'; None = names of the run, the network
            and the class that labels chooses, but no prefix with seeds.
        random_seed: seed of the latents.
        minibatch_size: images per evaluation.
        labels: for a network with labels: None = random labels of the data set, 3 or temple = one
            class by number or name for all images, 'rows' = a class per grid row.
        seeds: write one image per seed, as seed0042.png; replaces grid_size, num_pngs and
            random_seed.
        config: configuration like config.py; None = the module `config`. Uses result_dir, data_dir,
            desc and num_gpus.

    Returns:
        The result folder's path.

    Raises:
        ConfigError: an option cannot be used; nothing has been written.
        DataError: there is no such run or snapshot, or a file cannot be written.
    """
    chosen = [] if seeds is None else seed_list(seeds)
    if chosen:
        expect_alone(options_of(generate_fake_images),
                     dict(grid_size=grid_size, num_pngs=num_pngs, random_seed=random_seed))
    Gs, network_pkl = generator.load_generator(run_id, snapshot, config)
    image_shrink = chosen_shrink(Gs, image_shrink, grid_size)
    if chosen:
        num_pngs = len(chosen)
        cell_labels = labels_of_seeds(labels, Gs, network_pkl, config, chosen)
        pictures = _of_seeds(Gs, chosen, cell_labels, png_prefix or '')
    else:
        labels_for = label_source(labels, Gs, network_pkl, config, random_seed)
        if png_prefix is None:
            png_prefix = ''.join(f'{part}-' for part in (
                generator.name_of_network(network_pkl), name_of_label(labels)) if part)
        pictures = _numbered(Gs, num_pngs, grid_size, random_seed, labels_for, png_prefix)
    result_subdir = generator.new_result_folder(config)
    report_rows(result_subdir, labels, grid_size[1], Gs, network_pkl, config)

    with progress_bar(total=num_pngs, unit='png') as bar:
        for picture in pictures:
            with bar.external_write_mode():
                print(picture.message)
            images = generator.draw(Gs, picture.latents, picture.labels, minibatch_size,
                                    config.num_gpus, image_shrink)
            misc.save_image_grid(images, os.path.join(result_subdir, picture.name),
                                 drange=[0, 255], grid_size=grid_size)
            bar.update()
    generator.mark_done(result_subdir)
    return result_subdir


class _Picture(NamedTuple):
    """A PNG to write.

    Attributes:
        name: its file name.
        message: line to print before it is generated.
        latents, labels: inputs of its images.
    """
    name: str
    message: str
    latents: np.ndarray
    labels: np.ndarray


def _numbered(Gs, num_pngs, grid_size, random_seed, labels_for, prefix) -> Iterator[_Picture]:
    """Yield grids of random latents, numbered from 0."""
    random_state = np.random.RandomState(random_seed)
    for index in range(num_pngs):
        latents = misc.random_latents(grid_size[0] * grid_size[1], Gs, random_state)
        yield _Picture(f'{prefix}{index:06d}.png', f'Generating png {index} / {num_pngs}...',
                       latents, labels_for(grid_size))


def _of_seeds(Gs, seeds, labels, prefix) -> Iterator[_Picture]:
    """Yield one image per seed."""
    for index, seed in enumerate(seeds):
        yield _Picture(f'{prefix}seed{seed:04d}.png',
                       f'Generating png {index} / {len(seeds)}, seed {seed}...',
                       seed_latents(Gs, seed), labels[index:index + 1])
