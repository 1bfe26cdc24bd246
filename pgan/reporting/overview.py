"""A summary of the run, printed before its first step."""
from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

import tensorflow as tf

from dataset import Dataset, has_labels, load_dataset
from pgan.data.class_names import names_of
from pgan.options import with_defaults
from pgan.reporting import schedule_table
from pgan.reporting.protocols import Phase, Run
from tfutil import Network
from tfutil.devices import Devices
from tfutil.runtime import tf32_allowed


def print_overview(run: Run, run_phases: Sequence[Phase],
                   sec_per_kimg: Mapping[int, float] | None) -> None:
    """Print data set, networks, devices, precision, schedule and result folder.

    Args:
        run: the run.
        run_phases: the phases that are left of it.
        sec_per_kimg: estimated seconds by resolution; None = the table has no times.
    """
    print('This run:')
    for name, text in overview_entries(run).items():
        print(f'  {name:<14s}{text}')
    if run_phases:
        source = 'what has been measured so far, and the arithmetic of the other stages'
        schedule_table.print_schedule(run_phases, sec_per_kimg, source)


def overview_entries(run: Run) -> dict[str, Any]:
    """Entries of the overview: {'Data set': 'cifar10, 50000 images of 3x32x32', ...}"""
    config, data = run.config, run.training_set
    G, D, _ = run.networks
    mirrored = 'mirrored at random' if run.options.mirror_augment else 'not mirrored'
    done = f', of which {run.cur_nimg / 1000:.1f} are done' if run.cur_nimg else ''
    return {
        'Data set': f'{dataset_name(config.dataset)}: {_describe_images(data)}, {mirrored}',
        'Labels': describe_labels(data),
        'Generator': f'{count_parameters(G):,} parameters, {G.input_shape[1]} latents',
        'Discriminator': f'{count_parameters(D):,} parameters',
        'Precision': describe_precision(G, D),
        'Devices': describe_devices(run.devices),
        'Length': f'{run.options.total_kimg:g} kimg{done}',
        'Random seed': config.random_seed,
        'Result folder': run.path or 'on machine 0',
    }


def dataset_name(options: Mapping[str, Any]) -> str:
    """Name of a data set: its folder, or its class.

    Args:
        options: config.dataset.
    """
    return options.get('tfrecord_dir') or with_defaults(load_dataset, options)['class_name']


def _describe_images(data: Dataset) -> str:
    shape = 'x'.join(str(int(size)) for size in data.shape)
    if not data.num_images:
        return f'images of {shape} without an end'
    return f'{data.num_images} images of {shape}'


def describe_labels(data: Dataset) -> str:
    """'3 components (ant, bee, cat)'; without labels, whether the data set has some."""
    if data.label_size:
        names = ', '.join(names_of(data))
        return f'{data.label_size} components' + (f' ({shorten(names, 50)})' if names else '')
    folder = getattr(data, 'tfrecord_dir', None)
    if folder is not None and has_labels(folder):
        return "unused; to use those of the data set: dataset.max_label_size='full'"
    return 'none'


def count_parameters(net: Network) -> int:
    """The number of a network's trainable values."""
    return sum(var.shape.num_elements() for var in net.trainables.values())


def describe_precision(G: Network, D: Network) -> str:
    """'float32', 'float32 / bfloat16', 'float32 (TensorFloat-32 on)'."""
    dtypes = ' / '.join(dict.fromkeys(net.activation_dtype for net in (G, D)))
    if tf32_allowed():
        return f'{dtypes} (TensorFloat-32 on)'
    return f'{dtypes} (TensorFloat-32 off)' if _uses_gpus() else dtypes


def _uses_gpus() -> bool:
    return bool(tf.config.get_visible_devices('GPU'))


def describe_devices(devices: Devices) -> str:
    """'2 x GPU', or '4 x GPU on 2 machines'."""
    kind = 'GPU' if _uses_gpus() else 'CPU'
    machines = f' on {devices.workers} machines' if devices.workers > 1 else ''
    return f'{devices.num_replicas} x {kind}{machines}'
