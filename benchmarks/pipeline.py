"""Images per second from the files of a data set to the input of the training step.

    python -m benchmarks.pipeline -h

For each resolution, with the minibatches of training: `read` is reading alone; `ready` and
`ready_mirror` also cast and rescale, and `ready_mirror` mirrors.

* Cold: the first pass, over files that the system has dropped from its cache. `cold_dropped` is the
  share that it dropped; below 0.95 there is no cold figure.
* Warm: later passes.

The time of calling an empty compiled function (`call_sec`) is subtracted, because in training all
this is part of the step. Prints one JSON line for each resolution.

Without --data, it first makes a data set of synthetic images in a temporary folder.
"""
import contextlib
import ctypes
import json
import math
import mmap
import os
import pathlib
import statistics
import sys
import tempfile
import time

from benchmarks.common import Parser, load, significant, timed
from pgan.resolutions import log2_of

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
# config.py's preset-v2-1gpu
MINIBATCHES = {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4, 1024: 4}


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.pipeline', description=__doc__.split('\n')[0])
    parser.add_argument('--data', metavar='FOLDER', help='a data set; default: synthetic images')
    parser.add_argument('--resolution', type=int, default=256,
                        help='of the synthetic images (default: 256)')
    parser.add_argument('--num_images', type=int, default=1000,
                        help='synthetic images (default: 1000)')
    parser.add_argument('--only', type=int, action='append', metavar='R',
                        help='measure only this resolution; may be '
                        'given several times')
    parser.add_argument('--seconds', type=float, default=3.0,
                        help='for each warm figure (default: 3)')
    return parser.parse_args(argv)


def make_data(folder, resolution, num_images):
    """Write a data set of synthetic images, as `dataset_tool.py create_from_images` does."""
    import numpy as np

    import dataset_tool
    from benchmarks.dataset_tool import photograph
    source, rs = pathlib.Path(folder, 'in'), np.random.RandomState(0)
    source.mkdir()
    for number in range(num_images):
        name = source / f'{number:06d}.jpg'
        if number < 20:
            photograph(rs, resolution, resolution).save(name)
        else:
            os.link(source / f'{number % 20:06d}.jpg', name)
    dataset_tool.main(['create_from_images', os.path.join(folder, 'data'), str(source)])
    return os.path.join(folder, 'data')


# ---------------------------------------------------------------- the system's cache

def drop_from_cache(path):
    """Ask the system to drop a file from its cache. Returns the share dropped; None if unsupported.
    """
    if not hasattr(os, 'posix_fadvise') or os.path.getsize(path) == 0:
        return None
    with open(path, 'rb') as file:
        os.fsync(file.fileno())  # dirty pages would not be dropped
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    resident = resident_part(path)
    return None if resident is None else round(1 - resident, 3)


def resident_part(path):
    """Share of a file's pages in memory (mincore); None where that is not known."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, 'mincore'):
        return None
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE,
                                             prot=mmap.PROT_READ | mmap.PROT_WRITE) as pages:
        states = (ctypes.c_ubyte * math.ceil(len(pages) / mmap.PAGESIZE))()
        first = ctypes.c_char.from_buffer(pages)
        try:
            if libc.mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(pages)),
                            states):
                return None
        finally:
            del first  # the map cannot be closed while it is referenced
    return sum(state & 1 for state in states) / len(states)


# ---------------------------------------------------------------- measuring

def make_ready(training_set, lod, mirror):
    """Function from the data set's tensors to the loss's input: the start of the compiled D step.
    """
    import tensorflow as tf

    from pgan.training.reals import process_reals
    from tfutil import randomness

    @tf.function(autograph=False)
    def ready(images, step):
        with randomness.keyed(1, step):
            return process_reals(images, lod, mirror, training_set.dynamic_range, [-1, 1],
                                 native=True)
    return ready


def images_per_sec(training_set, minibatch, ready=None, seconds=None, call_sec=0.0):
    """Read minibatches for this many seconds, or once through the whole set."""
    count, start = 0, time.perf_counter()
    while count < training_set.num_images if seconds is None else time.perf_counter(
    ) - start < seconds:
        images, _ = training_set.get_minibatch_tf()
        if ready is not None:
            call(ready, images, count)
        count += minibatch
    return significant(count / (time.perf_counter() - start - count / minibatch * call_sec))


def call(function, images, count):
    """Call a compiled function of a minibatch and the number of preceding images; wait for its
    result.
    """
    import tensorflow as tf
    function(images, tf.constant(count, tf.int32))[0, 0, 0, 0].numpy()


def empty_call_sec(training_set, calls=300):
    """Median seconds of calling an empty compiled function with a minibatch."""
    import tensorflow as tf
    nothing = tf.function(lambda images, step: images[:1, :1, :1, :1], autograph=False)
    images, _ = training_set.get_minibatch_tf()
    return statistics.median(timed(lambda: call(nothing, images, 0)) for _ in range(calls))


def measure_resolution(folder, resolution, seconds):
    """All figures of one resolution."""
    import dataset
    with contextlib.closing(dataset.TFRecordDataset(folder)) as training_set:
        full, num_images = training_set.resolution, training_set.num_images
    level = log2_of(full // resolution)
    minibatch = min(MINIBATCHES.get(resolution, 4), num_images)
    paths = list(pathlib.Path(folder).glob(f'*-r{log2_of(resolution):02d}.tfrecords'))
    result = dict(resolution=resolution, full_resolution=full, minibatch=minibatch,
                  images=num_images,
                  file_mb=significant(sum(path.stat().st_size for path in paths) / 1e6, 3))
    dropped = [drop_from_cache(path) for path in paths]
    result['cold_dropped'] = None if None in dropped or not dropped else min(dropped)
    with contextlib.closing(dataset.TFRecordDataset(folder)) as training_set:
        training_set.configure(minibatch, level)
        if (result['cold_dropped'] or 0) >= 0.95:
            result['cold_read'] = images_per_sec(training_set, minibatch)
        images_per_sec(training_set, minibatch)
        result['call_sec'] = significant(empty_call_sec(training_set))
        result['warm_read'] = images_per_sec(training_set, minibatch, seconds=seconds)
        for mirror in (False, True):
            ready = make_ready(training_set, level, mirror)
            images_per_sec(training_set, minibatch, ready, seconds=0.01)  # compiles
            result['warm_ready' + '_mirror' * mirror] = images_per_sec(
                training_set, minibatch, ready, seconds, result['call_sec'])
    return dict(result, load=load())


def measure(args):
    """Yield results, one for each resolution."""
    from tfutil import init_tf
    init_tf(random_seed=1)
    with contextlib.ExitStack() as stack:
        folder = args.data
        if folder is None:
            with contextlib.redirect_stdout(sys.stderr):
                folder = make_data(stack.enter_context(tempfile.TemporaryDirectory()),
                                   args.resolution, args.num_images)
        known = sorted(2**int(path.stem[-2:])
                       for path in pathlib.Path(folder).glob('*-r[0-9][0-9].tfrecords'))
        missing = sorted(set(args.only or ()) - set(known))
        if missing or not known:
            sys.exit(f'Error: {folder!r} has the resolutions {known}, not {missing or "any"}. '
                     'Set --data to a folder that dataset_tool.py made.')
        for resolution in args.only or known:
            yield measure_resolution(folder, resolution, args.seconds)


if __name__ == '__main__':
    for line in measure(parse_args()):
        print(json.dumps(line), flush=True)
