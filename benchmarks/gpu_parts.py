"""The child process of `benchmarks.gpu`, and the smaller parts.

Reads tasks from stdin, one JSON line each. Prints each result as a JSON line, and after each task
{"done": true} or {"failed": what}.
"""
import contextlib
import gc
import io
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import numpy as np

from benchmarks.common import Parser, significant, timed
from benchmarks.gpu_numbers import augment, golden, half, random
from benchmarks.gpu_runs import determinism
from benchmarks.gpu_speed import make_steps, moment, peer, speed, use_kernels
from pgan.errors import in_short

VARIABLES = ('TF_FORCE_', 'TF_GPU_', 'TF_XLA_', 'TF_DETERMINISTIC_', 'TF_ENABLE_', 'CUDA_VISIBLE_',
             'XLA_FLAGS', 'NVIDIA_TF32_')  # beginnings of names of environment variables
COPIES_MB = (12, 100)  # 4 and 32 images of 1024x1024


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.gpu_parts', description=__doc__)
    parser.add_argument('--device', choices=('gpu', 'cpu'), default='gpu')
    parser.add_argument('--tf32', action='store_true', help='allow TensorFloat-32')
    parser.add_argument('--deterministic', action='store_true', help='as TF_DETERMINISTIC_OPS=1')
    parser.add_argument('--memory_mb', type=int, help='device memory that TensorFlow may use')
    parser.add_argument('--no_tensorflow', action='store_true',
                        help='leave the GPU to the processes that the tasks start')
    return parser.parse_args(argv)


def serve(parts, argv=None):
    """Do the tasks that are read from stdin.

    Args:
        parts: {name: function from a task to an iterator of results}.
        argv: command line; None: this process's.
    """
    args = parse_args(argv)
    results = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # output of libraries is not a result
    started = args.no_tensorflow
    threading.Thread(target=_end_with_parent, args=[os.getppid()], daemon=True).start()

    def say(**result):
        print(json.dumps(result), file=results, flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        try:
            if not started:
                start_tensorflow(args)
                started = True
            for result in parts[task['part']](task):
                say(**result)
        except Exception as error:
            traceback.print_exc()
            say(failed=describe(error))
            error.__traceback__ = None  # its frames hold tensors
        else:
            say(done=True)
        gc.collect()
    os._exit(0)  # TensorFlow's teardown takes a while


def _end_with_parent(parent):
    """End this process when its parent ends, so that it does not hold GPU memory."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def describe(error):
    """Type and message of an error, on one line."""
    return f'{type(error).__name__}: {in_short(error)}'


class NoGPU(Exception):
    """TensorFlow finds no GPU."""


def start_tensorflow(args):
    """Start TensorFlow with memory growth, on the GPU or, with --device cpu, on the CPU.

    Raises:
        NoGPU: it finds none.
    """
    import tensorflow as tf

    from tfutil import init_tf
    gpus = tf.config.list_physical_devices('GPU')
    if args.device == 'gpu' and not gpus:
        raise NoGPU('TensorFlow finds no GPU that it can use.')
    if gpus and args.memory_mb:
        tf.config.set_logical_device_configuration(
            gpus[0], [tf.config.LogicalDeviceConfiguration(memory_limit=args.memory_mb)])
    growth = {} if args.memory_mb or not gpus else {'gpu_options.allow_growth': True}
    init_tf({'tf32': args.tf32, **growth}, random_seed=1)
    if args.deterministic:
        tf.config.experimental.enable_op_determinism()


# ---------------------------------------------------------------- the machine

def machine(task):
    """Devices and versions that TensorFlow reports, and whether XLA compiles for the GPU."""
    import tensorflow as tf

    from tfutil.fusion import fusion_works
    build, said = tf.sysconfig.get_build_info(), io.StringIO()
    gpus = tf.config.list_physical_devices('GPU')
    with contextlib.redirect_stdout(said):
        works = fusion_works()
    yield dict(devices=[device.name for device in tf.config.list_logical_devices()],
               details=[tf.config.experimental.get_device_details(gpu) for gpu in gpus],
               fusion_works=works, fusion_note=said.getvalue().strip() or None,
               memory_growth=[tf.config.experimental.get_memory_growth(gpu) for gpu in gpus],
               cuda_build=build.get('cuda_version'), cudnn_build=build.get('cudnn_version'),
               environment={name: os.environ[name] for name in sorted(os.environ)
                            if name.startswith(VARIABLES)})


# ---------------------------------------------------------------- reading and copying

def pipeline(task):
    """Measure the input pipeline of the training step.

    Args:
        task: dict of resolution, images (in the synthetic data set), minibatch, seconds, known:
            {name of a `speed` measurement: sec/kimg} and steps: names of those to compare with.

    Yields:
        dict of images_per_sec of `Minibatches` alone (read, checked, copied), and share: that
        time over the step's, by name. It overlaps with the step, so below 1 it costs nothing.
        Then a dict of copy_mb, copy_ms and gb_per_sec for each size of copies to the device.
    """
    with tempfile.TemporaryDirectory() as folder:
        _make_records(os.path.join(folder, 'data'), task['resolution'], task['images'])
        rate = _minibatches_per_sec(os.path.join(folder, 'data'), task) * task['minibatch']
    own = 1000 / rate
    yield dict(resolution=task['resolution'], minibatch=task['minibatch'],
               images_per_sec=significant(rate), sec_per_kimg=significant(own),
               share={name: significant(own / task['known'][name], 3)
                      for name in task['steps'] if name in task['known']})
    device = '/GPU:0' if task['device'] == 'gpu' else '/CPU:0'
    for size in COPIES_MB:
        seconds = _copy_sec(np.ones(size * 10 ** 6, np.uint8), device)
        yield dict(copy_mb=size, copy_ms=significant(seconds * 1e3),
                   gb_per_sec=significant(size / 1e3 / seconds))


def _make_records(folder, resolution, count):
    """Write a data set of noise: reading and checking take as long as for pictures."""
    from pgan.data.writer import TFRecordExporter
    rnd = np.random.default_rng(0)
    with TFRecordExporter(folder, count, print_progress=False) as exporter:
        for _ in range(count):
            exporter.add_image(rnd.integers(0, 256, [3, resolution, resolution], np.uint8))


def _minibatches_per_sec(folder, task):
    import dataset
    from pgan.training.minibatches import Minibatches
    from tfutil.devices import make_devices
    with contextlib.closing(dataset.TFRecordDataset(folder)) as training_set:
        minibatches = Minibatches(training_set, make_devices(1))
        minibatches.take(task['minibatch'], 0)
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < task['seconds']:
            images, _ = minibatches.take(task['minibatch'], 0)
            images[-1, -1, -1, -1].numpy()  # wait for the copy
            count += 1
        rate = count / (time.perf_counter() - start)
        minibatches.rewind()
    return rate


def _copy_sec(array, device):
    """Median seconds of copying an array to a device."""
    import tensorflow as tf

    def copy():
        with tf.device(device):
            tf.convert_to_tensor(array)[-1:].numpy()
    copy()
    return statistics.median(timed(copy) for _ in range(7))


# ---------------------------------------------------------------- generating

def generate(task):
    """Images per second of `Gs.run`, from latents in the host's memory to images there.

    Args:
        task: dict of resolution, width, dtype, minibatch, images.
    """
    from tfutil import Network
    use_kernels()
    Gs = Network('Gs', 'networks.G_paper', num_channels=3, resolution=task['resolution'],
                 dtype=task['dtype'], **task['width'])
    latents = np.random.RandomState(0).randn(task['images'], *Gs.input_shapes[0][1:])

    def run(count):
        Gs.run(latents[:count], minibatch_size=task['minibatch'])
    first = timed(lambda: run(task['minibatch']))
    seconds = min(timed(lambda: run(task['images'])) for _ in range(3))
    yield dict(dtype=task['dtype'], resolution=task['resolution'], minibatch=task['minibatch'],
               images_per_sec=significant(task['images'] / seconds), first_sec=round(first, 1))


# ---------------------------------------------------------------- shortage of memory

def shortage(task):
    """Provoke a shortage of device memory by a minibatch that is too large.

    Args:
        task: dict of resolution, width, minibatch, host_gb (memory that the host must have left),
            and memory_mb, the limit that this process runs under. On a CPU a single huge tensor
            takes the place of the step, so that nothing is really used up.

    Yields:
        dict of raised and text (TensorFlow's exception and message), explained: whether
        `explaining_memory_shortage` recognizes it.
    """
    from pgan.training.preflight import explaining_memory_shortage
    left = host_memory_gb()
    if left is not None and left < task['host_gb']:
        yield dict(minibatch=task['minibatch'], note=f'not tried: it takes {task["host_gb"]} GB '
                   f'of host memory, {left:.3g} GB are left')
        return
    now = moment(task['resolution'], task['resolution'], task['minibatch'])
    error = None
    try:
        with explaining_memory_shortage(now):
            _use_up_memory(task, now)
    except Exception as raised:
        error = raised
    cause = error and (error.__cause__ or error)
    yield dict(minibatch=task['minibatch'], memory_mb=task['memory_mb'],
               raised=cause and type(cause).__name__, text=cause and describe(cause),
               explained=error is not None and error.__cause__ is not None,
               said=error and str(error)[:300])


def _use_up_memory(task, now):
    import tensorflow as tf

    from tfutil import summary
    if task['device'] == 'cpu':
        tf.zeros([1 << 46]).numpy()
        return
    use_kernels()
    make_steps(task['resolution'], task['width']).run(now)
    summary.resolve_deferred()


def host_memory_gb():
    """Available main memory in GB; None where it is not known."""
    with contextlib.suppress(OSError, StopIteration):
        lines = pathlib.Path('/proc/meminfo').read_text().splitlines()
        return next(int(x.split()[1]) for x in lines if x.startswith('MemAvailable')) / 2 ** 20


def nvidia_smi():
    """Facts about the first GPU as a dict of strings; None without an NVIDIA driver."""
    basic = 'name,driver_version,memory.total'
    for fields in (basic + ',power.limit,clocks.max.sm,clocks.max.memory,compute_cap,'
                   'pcie.link.gen.max,utilization.gpu,memory.used', basic):  # old drivers
        with contextlib.suppress(OSError, subprocess.SubprocessError, IndexError):
            done = subprocess.run(['nvidia-smi', f'--query-gpu={fields}', '--format=csv,noheader'],
                                  capture_output=True, text=True, timeout=30, check=True)
            first = done.stdout.strip().splitlines()[0]
            return dict(zip(fields.split(','), map(str.strip, first.split(','))))
    return None


PARTS = dict(machine=machine, golden=golden, random=random, speed=speed, peer=peer,
             determinism=determinism, augment=augment, pipeline=pipeline, generate=generate,
             half=half, shortage=shortage)

if __name__ == '__main__':
    serve(PARTS)
