"""Shared by the scripts: loading a run's generator, generating images, and result folders."""
import os
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

import misc
from pgan import settings
from pgan.files import atomic_write

if TYPE_CHECKING:
    from tfutil import Network


def load_generator(run_id: int | str, snapshot: int | str | None,
                   config: ModuleType) -> tuple['Network', str]:
    """Load Gs, the running average of a run's generator.

    Args:
        run_id: the run's number, name or folder, or the path of a network pickle.
        snapshot: its kimg, or 'best'; None = the last one.
        config: the configuration; result_dir, G and D are used, see `misc.load_generator`.

    Returns:
        (Gs, the pickle's path).

    Raises:
        DataError: there is no such run or snapshot, or the file holds something else.
    """
    path = misc.locate_network_pkl(run_id, snapshot, result_dir=config.result_dir)
    print(f'Loading network from "{path}"...')
    return misc.load_generator(path, config), path


def name_of_network(network_pkl: str) -> str:
    """The original's name for files made from a network, without the dot of './network.pkl', which
    would hide them.
    """
    return misc.get_id_string_for_network_pkl(network_pkl).lstrip('.-')


def draw(Gs: 'Network', latents: np.ndarray, labels: np.ndarray, minibatch_size: int,
         num_gpus: int = 1, image_shrink: int = 1) -> np.ndarray:
    """Generate images as uint8 [N, C, R / image_shrink, R / image_shrink].

    The generator's dynamic range must be [-1, 1].

    Args:
        latents: float32 [N, ...].
        labels: float32 [N, label size], zero-width for a network without labels.
        minibatch_size: images per evaluation.
        image_shrink: average boxes of this many pixels across and down.
    """
    # a user-defined network may have no input for labels
    inputs = [latents, labels][:len(Gs.input_shapes)]
    return Gs.run(  # type: ignore[return-value]  # a generator has one output
        *inputs, minibatch_size=minibatch_size, num_gpus=num_gpus, out_mul=127.5, out_add=127.5,
        out_shrink=image_shrink, out_dtype=np.uint8)


def label_size(Gs: 'Network') -> int:
    """Number of components of a generator's labels; 0 if it takes none."""
    return Gs.input_shapes[1][1] if len(Gs.input_shapes) > 1 else 0


def new_result_folder(config: ModuleType) -> str:
    """Create the next numbered folder, with config.txt and environment.json in it."""
    result_subdir = misc.create_result_subdir(config.result_dir, config.desc,
                                              settings.values(config))
    misc.write_environment(result_subdir, random_seed=getattr(config, 'random_seed', None))
    return result_subdir


def mark_done(result_subdir: str) -> None:
    """Write _done.txt as the last file, to mark the folder complete."""
    with atomic_write(os.path.join(result_subdir, '_done.txt')):
        pass
