"""How a training step uses a CPU's cores: all in each operation, or one in each and operations side
by side.

Operations of narrow networks are too small to be shared out between cores without loss. On two
cores it is faster to let each take one, and to evaluate each network in two parts of the minibatch,
so that there are always two operations at hand: `layers.evaluating`. Wide networks have passes over
their weights that want all cores. docs/performance.md has the measurements. """
import os

import tensorflow as tf

from networks import D_paper, G_paper
from pgan.options import with_defaults
from pgan.training.schedule import TrainingSchedule
from tfutil import import_obj

CORES = 2  # Nothing else was measured.
WIDEST = 128  # feature maps; with 256 there is nothing to gain, with 512 something to lose
VARIABLES = ('TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS')  # of the environment


def configure_threads(config, options):
    """Set TensorFlow's threads as is best for a run, if they can still be set.

    Args:
        config, options: as for `pgan.training.loop.TrainingRun`.

    Returns:
        In how many parts networks are to evaluate a device's minibatch: enough for all cores, or 1.
    """
    if tf.config.list_physical_devices('GPU') or cores() != CORES or not one_thread_pays(
            config, options):
        return 1
    return CORES // config.num_gpus if one_thread_per_operation() else 1


def cores():
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()


def one_thread_pays(config, options, environ=os.environ):
    """Whether a run on `CORES` cores is faster with operations of one thread each; CPU devices,
    too, work side by side.
    """
    said = [key for key in config.tf_config if key.endswith('_threads')
            ] + [key for key in environ if key in VARIABLES]
    # XLA and a metric's network share their work out by themselves; networks of another run are not
    # those of the configuration.
    elsewhere = options.xla or options.metrics or options.resume_run_id is not None
    return (not said and not elsewhere and CORES % config.num_gpus == 0 and _networks_fit(config)
            and _minibatches_fit(config.sched, CORES // config.num_gpus))


def _networks_fit(config):
    """Narrow networks of the paper, in which nothing but minibatch statistics looks at more than
    one sample.
    """
    for options, function in ((config.G, G_paper), (config.D, D_paper)):
        full = with_defaults(function, options)
        if import_obj(options['func']) is not function or full.get('use_batchnorm') or full.get(
                'use_gdrop'):
            return False
        if min(full['fmap_base'] / 2 ** full['fmap_decay'], full['fmap_max']) > WIDEST:
            return False
    return True


def _minibatches_fit(sched, parts):
    """Whether all minibatches that the schedule names can be cut into parts."""
    full = with_defaults(TrainingSchedule, sched)
    named = [
        full['minibatch_base'], *full['minibatch_dict'].values(),
        *full['max_minibatch_per_gpu'].values()
    ]
    return not any(size % parts for size in named)


def one_thread_per_operation():
    """Give each operation one thread. Returns whether that is so now: it is too late once something
    has been computed.
    """
    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(1)
        except RuntimeError:
            return False
    return True
