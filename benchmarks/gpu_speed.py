"""Speed of training steps on a GPU: the variants that `benchmarks.gpu` measures, and how."""
import functools
import gc
import importlib.util
import itertools
import math
import statistics
import sys
import time
import types
from typing import NamedTuple

from benchmarks.common import run_child, significant, timed
from benchmarks.flops import step_flops
from benchmarks.training_step import steps_of
from pgan.resolutions import log2_of

MINIBATCHES = {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4, 1024: 4}
LARGER = {512: 8, 1024: 8}  # in half precision
HALF = ('bfloat16', 'float16')
METHODS = ('diffaugment', 'ada')  # of augmentation
GROUP_SEC = 0.5  # duration of the steps between two synchronizations


class Variant(NamedTuple):
    """A way to run the training step of a stage. The defaults are this program's on a GPU.

    Attributes:
        stage: resolution in pixels.
        dtype: 'float32', 'tf32', 'bfloat16' or 'float16'.
        xla: compile the whole step with XLA.
        kernels: of layers that scale by 2: '3x3' with a separate 2x2 box, or '4x4'.
        other_layout: the layout of convolutions that this program does not choose: NHWC where it
            leaves the choice to Grappler, Grappler's choice with 'tf32', where it is NHWC.
        fuse: let XLA compile small operations.
        augment: method of `pgan.training.augment`, or None.
    """
    stage: int
    dtype: str = 'bfloat16'
    xla: bool = False
    kernels: str = '3x3'
    other_layout: bool = False
    fuse: bool = True
    augment: str | None = None

    @property
    def name(self):
        said = [(self.xla, 'xla'), (self.kernels == '4x4', '4x4'),
                (self.other_layout, 'grappler' if self.dtype == 'tf32' else 'nhwc'),
                (not self.fuse, 'unfused'), (self.augment is not None, self.augment)]
        return ' '.join([str(self.stage), self.dtype, *(word for yes, word in said if yes)])

    @property
    def minibatch(self):
        return (LARGER if self.dtype in HALF else {}).get(self.stage) or MINIBATCHES[self.stage]


class Peer(NamedTuple):
    """The same step in PyTorch, compiled by torch.compile or eager."""
    variant: Variant
    compiled: bool = False

    @property
    def name(self):
        return f'{self.variant.stage} {self.variant.dtype}' + ' compiled' * self.compiled


def ordered_variants(stages, dtypes):
    """All variants to measure and their peers, the most important first.

    Layout and fusion are not varied under XLA, which decides them itself.

    Args:
        stages: resolutions.
        dtypes: names as in `Variant.dtype`.

    Returns:
        (first, then, rest): lists of `Variant` and `Peer`. Even a short run includes `first`.
    """
    top, main = max(stages), [dtype for dtype in ('bfloat16', 'float32') if dtype in dtypes]
    first = [Variant(top, dtype) for dtype in main]
    first += [Peer(variant) for variant in first]
    xla = [Variant(top, dtype, xla=True) for dtype in main]
    more = [Variant(top, dtype) for dtype in dtypes if dtype not in main]
    others = sorted(set(stages) - {top}, key=lambda stage: (stage != 128, stage != 32, -stage))
    then = [*xla, *more, *map(functools.partial(Peer, compiled=True), xla),
            *(Variant(stage, dtype) for stage in others for dtype in main)]
    narrowed = [stage for stage in (top, 128) if stage in stages]
    changes = (dict(kernels='4x4'), dict(other_layout=True), dict(fuse=False))
    then += [Variant(stage, dtype, **change)
             for stage in dict.fromkeys(narrowed) for change in changes for dtype in dtypes]
    then += [Variant(narrowed[-1], dtypes[0], augment=method) for method in METHODS]
    rest = sorted(_product(stages, dtypes), key=_deviations)
    return first, _new(then, first), _new(rest, [*first, *then])


def _product(stages, dtypes):
    yes_no = (False, True)
    for stage, dtype, xla, kernels, other_layout, fuse in itertools.product(
            sorted(stages, reverse=True), dtypes, yes_no, ('3x3', '4x4'), yes_no, yes_no):
        if not xla or (fuse and not other_layout):
            yield Variant(stage, dtype, xla, kernels, other_layout, fuse)


def _deviations(variant):
    """Number of options that differ from the defaults."""
    return variant.xla + (variant.kernels == '4x4') + variant.other_layout + (not variant.fuse)


def _new(variants, known):
    return [variant for variant in dict.fromkeys(variants) if variant not in known]


# ---------------------------------------------------------------- training steps

def use_kernels(kernels=Variant._field_defaults['kernels']):
    """Choose the kernels of layers that scale by 2 in this process: '3x3' or '4x4'."""
    from pgan.nn import fused_convolutions
    fused_convolutions.kernels_hold_the_box = lambda: kernels == '4x4'


def use_layout(dtype, other=False):
    """Choose who decides on the layout of convolutions in this process. See `Variant`."""
    import tensorflow as tf
    grappler_decides = (dtype == 'tf32') == other
    tf.config.optimizer.set_experimental_options({'layout_optimizer': grappler_decides})


def make_steps(resolution, width, dtype='float32', training_set=None, **options):
    """Training steps of the paper's networks on one device.

    Args:
        resolution: full resolution of the networks, pixels.
        width: dict of fmap_base and fmap_max.
        dtype: of the activations. With 'float16' losses are scaled, from 2^64 on.
        training_set: a data set of `dataset`; None: black images.
        options: of `pgan.training.updates.UpdateOptions`.
    """
    import dataset
    common = dict(num_channels=3, resolution=resolution, label_size=0, dtype=dtype, **width)
    half = dict(pixelnorm_epsilon=1e-4) if dtype == 'float16' else {}
    return steps_of(training_set or dataset.SyntheticDataset(resolution, 3), dict(common, **half),
                    common, use_loss_scaling=dtype == 'float16', **options)


def moment(resolution, stage, minibatch):
    """The moment of a schedule, for `TrainingSteps.run`, at a stage that does not fade."""
    return types.SimpleNamespace(lod=float(log2_of(resolution // stage)), resolution=stage,
                                 minibatch=minibatch, D_lrate=0.001, G_lrate=0.001)


def speed(task):
    """Measure one variant, as a training run computes it: read, copied and updated.

    Args:
        task: dict of variant (the fields of `Variant`), resolution, width, minibatch, seconds.

    Yields:
        dict of sec_per_kimg (median over groups of steps), fastest, images_per_sec, tflops,
        compile_sec (the first step), peak_mb and first_peak_mb (peak device memory in later steps
        and in the first one; None on a CPU), before_mb (device memory in use before).
    """
    from tfutil.fusion import fusion_works
    variant = Variant(**task['variant'])
    fuse = variant.fuse and (task['device'] == 'cpu' or fusion_works())
    use_kernels(variant.kernels)
    use_layout(variant.dtype, variant.other_layout)
    before = memory_mb('current')
    forget_peak()
    dtype = 'float32' if variant.dtype == 'tf32' else variant.dtype
    steps = make_steps(task['resolution'], task['width'], dtype, xla=variant.xla, fuse=fuse,
                       augment=variant.augment)
    now = moment(task['resolution'], variant.stage, task['minibatch'])

    group = functools.partial(run_group, steps, now)
    compile_sec, first_peak = timed(functools.partial(group, 1)), memory_mb('peak')
    forget_peak()
    per_kimg = time_groups(group, task['minibatch'], task['seconds'])
    median = statistics.median(per_kimg)
    flops = step_flops(variant.stage, task['width']['fmap_base'], task['width']['fmap_max'], 3, 0)
    yield dict(task['variant'], fuse=fuse, minibatch=task['minibatch'],
               sec_per_kimg=significant(median),
               fastest=significant(min(per_kimg)), images_per_sec=significant(1000 / median),
               tflops=significant(flops['total'] / median / 1e9), compile_sec=round(compile_sec, 1),
               peak_mb=memory_mb('peak'), first_peak_mb=first_peak, before_mb=before)
    del steps, group
    use_layout(variant.dtype)
    gc.collect()


def run_group(steps, now, count):
    """Run this many steps and wait for their end."""
    from tfutil import summary
    for _ in range(count):
        steps.run(now)
    summary.resolve_deferred()


def time_groups(group, minibatch, seconds, least=3):
    """Seconds per thousand images of groups of steps; the device is synchronized after each.

    Args:
        group: function of a number of steps that waits for their end.
        minibatch: images per step.
        seconds: total duration.
        least: number of groups, even if they take longer.
    """
    group(2)
    count = max(1, math.ceil(min(GROUP_SEC, seconds) / timed(lambda: group(3)) * 3))
    results, start = [], time.perf_counter()
    while len(results) < least or time.perf_counter() - start < seconds:
        results.append(timed(lambda: group(count)) / (count * minibatch) * 1000)
    return results


def memory_mb(which):
    """Device memory in use, 'current' or 'peak', in MB; None without a GPU."""
    import tensorflow as tf
    if not tf.config.list_physical_devices('GPU'):
        return None
    return tf.config.experimental.get_memory_info('GPU:0')[which] >> 20


def forget_peak():
    """Reset the 'peak' of `memory_mb` to the memory in use."""
    import tensorflow as tf
    if tf.config.list_physical_devices('GPU'):
        tf.config.experimental.reset_memory_stats('GPU:0')


def peer(task):
    """Measure the same step in PyTorch, in a separate process.

    Args:
        task: as for `speed`, and compiled, device, limit_s; known: {name of a `speed`
            measurement: sec/kimg} of this run.

    Yields:
        dict of the peer's result and ratio: this program's sec/kimg divided by the peer's. It is
        None if this program's step was not measured: the same variant, under XLA if the peer is
        compiled.
    """
    if importlib.util.find_spec('torch') is None:
        yield dict(note='PyTorch is not installed, so there is no comparison. Install it with: '
                        f'{sys.executable} -m pip install torch')
        return
    variant = Variant(**task['variant'])
    options = dict(resolution=variant.stage, **task['width'], minibatch=task['minibatch'],
                   dtype=variant.dtype, seconds=task['seconds'],
                   device='cuda' if task['device'] == 'gpu' else 'cpu')
    command = ['benchmarks.peer_torch_step', *(f'--{k}={v}' for k, v in options.items()),
               '--compile' if task['compiled'] else '--no-compile']
    found = run_child(command, timeout=max(task['limit_s'] - 5, 1))[-1]
    ours = task['known'].get(variant.name)
    yield dict(found, beside=variant.name,
               ratio=ours and significant(ours / found['sec_per_kimg'], 3))
