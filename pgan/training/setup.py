"""Setup of a run: data set, networks and losses."""
import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, TypeAlias

import tensorflow as tf

import dataset
import misc
import tfutil
from dataset import Dataset
from pgan.errors import ConfigError
from pgan.options import options_of, with_defaults
from tfutil import Network

Networks: TypeAlias = tuple[Network, Network, Network]  # G, D, Gs


def load_training_set(config: ModuleType) -> Dataset:
    """Load the configured data set, shuffled with the configured random seed."""
    options = dict(config.dataset)
    cls = tfutil.import_obj(with_defaults(dataset.load_dataset, options)['class_name'])
    if 'random_seed' in options_of(cls):
        options['random_seed'] = config.random_seed
    return dataset.load_dataset(data_dir=config.data_dir, verbose=True, **options)


def load_held_out(config: ModuleType) -> Dataset | None:
    """Load the images that `dataset.validation` holds out from training; None if there are none."""
    cls = tfutil.import_obj(with_defaults(dataset.load_dataset, config.dataset)['class_name'])
    if not config.dataset.get('validation') or 'part' not in options_of(cls):
        return None
    options = dict(config.dataset, part='validation', random_seed=config.random_seed)
    return dataset.load_dataset(data_dir=config.data_dir, **options)


def make_networks(config: ModuleType, training_set: Dataset, resume_run_id: int | str | None = None,
                  resume_snapshot: int | str | None = None) -> Networks:
    """Create networks for a data set, or load those of an earlier run's snapshot, and print their
    layers.

    Raises:
        ConfigError: the snapshot's networks are for another image shape or label size.
    """
    if resume_run_id is not None:
        G, D, Gs = load_networks(config, training_set, resume_run_id, resume_snapshot)
    else:
        print('Constructing networks...')
        shape: dict[str, Any] = dict(num_channels=training_set.shape[0],
                                     resolution=training_set.shape[1],
                                     label_size=training_set.label_size)
        G = Network('G', **shape, **config.G)
        D = Network('D', **shape, **config.D)
        Gs = G.clone('Gs')
    G.print_layers()
    D.print_layers()
    return G, D, Gs


def load_networks(config: ModuleType, training_set: Dataset, run_id: int | str,
                  snapshot: int | str | None) -> Networks:
    """Load the networks of an earlier run's snapshot for a data set. See `make_networks`."""
    path = misc.locate_network_pkl(run_id, snapshot, result_dir=config.result_dir)
    print(f'Loading networks from "{path}"...')
    G, D, Gs = misc.load_snapshot(path, config)
    have = D.input_shape[1:], D.output_shapes[1][1]
    want = list(training_set.shape), training_set.label_size
    if have != want:
        raise ConfigError(f'the networks of {path!r} are for images of shape {have[0]} and labels '
                          f'of {have[1]} components, but the data set has {want[0]} and {want[1]}: '
                          'choose the data set (and dataset.max_label_size) that they were trained '
                          'on, or start without resume_run_id.')
    for name, net in (('G', G), ('D', D)):
        unused = {key: value for key, value in getattr(config, name).items()
                  if key != 'func' and net.static_kwargs.get(key) != value}
        if unused:
            print(f'Note: {name} is that of the snapshot; these options of the configuration are '
                  f'not used: {unused}')
    return G, D, Gs


def loss_function(options: Mapping[str, Any]) -> Callable[..., tf.Tensor]:
    """The function of a loss's options with the other options bound to it."""
    options = dict(options)
    return functools.partial(tfutil.import_obj(options.pop('func')), **options)
