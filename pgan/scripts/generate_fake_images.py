"""Images of a trained generator as PNG files."""
import os
from typing import Any

import numpy as np

import misc
from pgan.options import Count, Seed, Size
from pgan.progress_bar import progress_bar
from pgan.scripts import generator
from pgan.scripts.label_choice import label_source, report_rows
from pgan.scripts.option_checks import FileName, GridSize, Labels, RunId, expect_shrink
from pgan.scripts.script import script


@script
def generate_fake_images(
    run_id: RunId,
    snapshot: Size | None = None,
    grid_size: GridSize = [1, 1],
    num_pngs: Count = 1,
    image_shrink: Count = 1,
    png_prefix: FileName | None = None,
    random_seed: Seed = 1000,
    minibatch_size: Count = 8,
    labels: Labels = None,
    *,
    config: Any = None,
) -> str:
    """Write PNG files of images that a trained generator makes of random latents, to a result
    folder of their own.

    Args:
        run_id: the run's number, name or folder, or the path of a network pickle.
        snapshot: which network, by its kimg; None for the last.
        grid_size: images across and down in each PNG.
        num_pngs: how many PNGs.
        image_shrink: average squares of so many pixels, a power of two.
        png_prefix: what file names begin with, before '%06d.png'; None for the run's and the
            network's names.
        random_seed: of the latents.
        minibatch_size: images per evaluation.
        labels: of a network with labels: None = those of the data set at random, 3 or temple = a
            class by number or name for all, 'rows' = a class per grid row.
        config: as config.py; None = the module `config`. Gives result_dir, data_dir, desc and
            num_gpus.

    Returns:
        The result folder's path.

    Raises:
        ConfigError: an option cannot be used; nothing has been written.
        DataError: there is no such run or snapshot, or the disk is in the way.
    """
    Gs, network_pkl = generator.load_generator(run_id, snapshot, config)
    expect_shrink(Gs, image_shrink)
    labels_for = label_source(labels, Gs, network_pkl, config, random_seed)
    if png_prefix is None:
        png_prefix = misc.get_id_string_for_network_pkl(network_pkl) + '-'
    random_state = np.random.RandomState(random_seed)
    result_subdir = generator.new_result_folder(config)
    report_rows(result_subdir, labels, grid_size[1], Gs, network_pkl, config)

    with progress_bar(total=num_pngs, unit='png') as bar:
        for index in range(num_pngs):
            with bar.external_write_mode():
                print(f'Generating png {index} / {num_pngs}...')
            latents = misc.random_latents(grid_size[0] * grid_size[1], Gs, random_state)
            images = generator.draw(Gs, latents, labels_for(grid_size), minibatch_size,
                                    config.num_gpus, image_shrink)
            misc.save_image_grid(images, os.path.join(result_subdir,
                                                      f'{png_prefix}{index:06d}.png'),
                                 drange=[0, 255], grid_size=grid_size)
            bar.update()
    generator.mark_done(result_subdir)
    return result_subdir
