"""Use of CPU cores by a training step: all cores per operation, or one core per operation.

Operations of narrow networks are too small to be split efficiently between cores. With two cores it
is faster to run one operation on each, and to evaluate each network in two parts of the minibatch,
so that two operations are always ready: `sharing.evaluating`. Wide networks make passes over their
weights that need all cores. benchmarks/LOG.md has the measurements.
"""
import os
from collections.abc import Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import tensorflow as tf

from networks import D_paper, G_paper
from pgan.options import with_defaults
from pgan.training.schedule import TrainingSchedule
from tfutil import import_obj

MEASURED_CORES = 2  # The gain was measured on two cores only.
MAX_FMAPS = 128  # 256 feature maps are not faster, 512 are slower
THREAD_VARIABLES = ('TF_NUM_INTRAOP_THREADS', 'TF_NUM_INTEROP_THREADS')  # environment variables


def configure_threads(config: ModuleType, options: SimpleNamespace) -> int:
    """Set TensorFlow's threads to the fastest setting for a run, if they can still be set.

    Args:
        config, options: as for `pgan.training.loop.TrainingRun`.

    Returns:
        Number of parts in which networks should evaluate a replica's minibatch: enough for all
        cores, or 1.
    """
    if tf.config.list_physical_devices('GPU') or usable_cores() != MEASURED_CORES:
        return 1
    if not one_thread_per_operation_pays(config, options):
        return 1
    return MEASURED_CORES // config.num_gpus if set_one_thread_per_operation() else 1


def usable_cores() -> int:
    """Number of cores available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def one_thread_per_operation_pays(config: ModuleType, options: SimpleNamespace,
                    environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a run on `MEASURED_CORES` cores is faster with one thread per operation.

    Several CPU devices already run in parallel, so fewer parts are needed.
    """
    # The user has chosen the number of threads.
    if any(key.endswith('_threads') for key in config.tf_config):
        return False
    if any(key in environ for key in THREAD_VARIABLES):
        return False
    # XLA and the networks of metrics have their own threads. The networks of another run may differ
    # from the configuration.
    if options.xla or options.metrics or options.resume_run_id is not None:
        return False
    if MEASURED_CORES % config.num_gpus:
        return False
    parts = MEASURED_CORES // config.num_gpus
    return _networks_fit(config) and _minibatches_fit(config.sched, parts)


def _networks_fit(config: ModuleType) -> bool:
    """Whether the networks are the paper's, narrow, and give the same result on a split minibatch.

    The minibatch stddev layer is the only one that may combine samples.
    """
    for options, function in ((config.G, G_paper), (config.D, D_paper)):
        full = with_defaults(function, options)
        if import_obj(options['func']) is not function:
            return False
        if full.get('use_batchnorm') or full.get('use_gdrop'):
            return False
        if min(full['fmap_base'] / 2 ** full['fmap_decay'], full['fmap_max']) > MAX_FMAPS:
            return False
    return True


def _minibatches_fit(sched: Mapping[str, Any], parts: int) -> bool:
    """Whether all minibatches of the schedule can be split into equal parts."""
    full = with_defaults(TrainingSchedule, sched)
    sizes = [full['minibatch_base'], *full['minibatch_dict'].values(),
             *full['max_minibatch_per_gpu'].values()]
    return not any(size % parts for size in sizes)


def set_one_thread_per_operation() -> bool:
    """Set TensorFlow to use one thread per operation.

    Returns:
        Whether this succeeded; it is too late once an operation has run.
    """
    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(1)
        except RuntimeError:
            return False
    return True
