"""Numbers of a GPU: golden outputs and gradients, random bits, augmentation, half precision.

The parts of `benchmarks.gpu` that check results. Each takes a task (a dict) and yields results
(dicts).
"""
import json
import math
import statistics
import types

import numpy as np

from benchmarks.common import ROOT, significant, timed
from benchmarks.gpu_speed import make_steps, moment, use_kernels

GOLDEN = ROOT / 'tests' / 'golden'
DRAWS = 3  # keys of random draws for `augment`
LOSS_SCALING = 10.0  # log2, for golden gradients in float16


def load_golden(name):
    """A golden file: JSON as Python objects, .npz as a dict of arrays."""
    if name.endswith('.json'):
        return json.loads((GOLDEN / name).read_text())
    with np.load(GOLDEN / name) as data:
        return dict(data)


# ---------------------------------------------------------------- the original's outputs

def golden(task):
    """Compare networks, losses and gradients with the original's.

    Args:
        task: dict of dtype, kernels ('4x4' or '3x3'), fuse, cases (None: all; otherwise the
            number of networks, and twice that of losses).

    Yields:
        dict of networks, losses and gradients, each as `in_short` gives it.
    """
    use_kernels(task['kernels'])
    networks = list(load_golden('networks.json')['cases'].items())
    losses = list(load_golden('losses.json')['cases'].items())
    if task['cases'] is not None:
        networks, losses = _sample(networks, task['cases']), losses[:task['cases'] // 2]
    outputs = [error for case, info in networks for error in network_errors(case, info, task)]
    values, gradients = [], []
    for case, info in losses:
        for own, more in (_loss_errors(case, info, task, which) for which in 'GD'):
            values += own
            gradients += more
    yield dict(dtype=task['dtype'], kernels=task['kernels'], fuse=task['fuse'],
               networks=in_short(outputs, task), losses=in_short(values, task),
               gradients=in_short(gradients, task))


def _sample(cases, number):
    """Cases from both ends: the first are generators, the last discriminators."""
    return cases[:math.ceil(number / 2)] + cases[len(cases) - number // 2:]


def in_short(errors, task):
    """Summary of comparisons.

    Args:
        errors: list of (largest error, tolerance, largest expected value), one for each output.
        task: dict; its dtype decides whether tolerances count.

    Returns:
        dict of outputs (their number), nonfinite, worst_relative, median_relative (error over the
        largest expected value); in float32 also out_of_tolerance and worst (error / tolerance).
    """
    finite = [entry for entry in errors if math.isfinite(entry[0])]
    relative = [error / scale for error, _, scale in finite if scale > 0] or [0.0]
    found = dict(outputs=len(errors), nonfinite=len(errors) - len(finite),
                 worst_relative=significant(max(relative), 3),
                 median_relative=significant(statistics.median(relative), 3))
    if task['dtype'] in ('float32', 'tf32'):
        found['out_of_tolerance'] = sum(not error <= tolerance for error, tolerance, _ in errors)
        found['worst'] = significant(max((e / t for e, t, _ in finite), default=0.0), 3)
    return found


def compared(actual, expected, tolerance):
    """Entry of `in_short` for one output."""
    expected = np.asarray(expected, np.float64)
    actual = np.asarray(actual, np.float64).reshape(expected.shape)
    return (float(np.max(np.abs(actual - expected))), float(tolerance),
            float(np.max(np.abs(expected))))


def make_network(data, prefix, func, kwargs, dtype):
    """A network of golden variables. Float16 gets the pixel norm's epsilon of option -fp16."""
    from tfutil import Network
    half = dict(pixelnorm_epsilon=1e-4) if dtype == 'float16' and func == 'G_paper' else {}
    dtype = 'float32' if dtype == 'tf32' else dtype
    net = Network(func[0], f'networks.{func}', **{**kwargs, **half, 'dtype': dtype})
    for name in net.vars:
        net.set_var(name, data[f'{prefix}var/{name}'])
    return net


def network_errors(case, info, task):
    """Entries of `in_short` for one golden network at its lods."""
    from tfutil.fusion import fusing
    data = load_golden(f'networks-{case}.npz')
    net = make_network(data, '', info['func'], info['static_kwargs'], task['dtype'])
    is_G = info['func'] == 'G_paper'
    inputs = [data['latents'], data['labels']] if is_G else [data['images']]
    tolerance = min(info['atol'], 1e-4 * max(info['max_abs_output'], 1.0))
    for lod in info['lods']:
        net.set_var('lod', lod)
        with fusing(task['fuse']):
            outputs = net.run(*inputs, return_as_list=True)
        for key, output in zip(['out'] if is_G else ['scores', 'labels'], outputs):
            if output.size:
                yield compared(output, data[f'{key}_lod{lod:.2f}'], tolerance)


def _loss_errors(case, info, task, which):
    """Entries of `in_short` for the loss of G or D in one golden case, and for its gradients."""
    from tfutil import Optimizer
    data = load_golden(f'losses-{case}.npz')
    G, D = (make_network(data, f'{n}/', info[f'{n}_func'], info[f'{n}_static_kwargs'],
                         task['dtype']) for n in 'GD')
    opt = Optimizer('Train', use_loss_scaling=task['dtype'] == 'float16',
                    loss_scaling_init=LOSS_SCALING)
    trainables = dict(G=G, D=D)[which].trainables
    values, gradients = _differentiated(
        lambda: _golden_loss(which, G, D, opt, info, data), opt, list(trainables.values()), task)
    loss = [compared(values, data[f'{which}_loss/loss_per_sample'],
                     info['accuracy'][f'{which}_loss/loss']['atol'])]
    entries = []
    for (name, var), gradient in zip(trainables.items(), gradients):
        expected = data[f'{which}_loss/grad/{name}']
        bound = info[f'{which}_grad_rtol'] * np.abs(expected).max() + info[f'{which}_grad_atol']
        entries.append(compared(np.zeros(var.shape) if gradient is None else gradient, expected,
                                bound))
    return loss, entries


def _golden_loss(which, G, D, opt, info, data):
    """The loss of one golden case, at its stage's own resolution, evaluated as in training."""
    import tensorflow as tf

    from loss import D_wgangp_acgan, G_wgan_acgan
    from pgan.nn.layers import make_kernels
    from tfutil import Stage
    stage = Stage.of(info['lod'], G.model.resolution)
    views = G.at_stage(stage, native=True), D.at_stage(stage)
    for view in views:
        make_kernels(view)
    size, shrink = info['minibatch'], 2 ** stage.floor_lod
    if which == 'G':
        labels = types.SimpleNamespace(
            get_random_labels_tf=lambda n: tf.constant(data['G_loss/labels']))
        return G_wgan_acgan(*views, opt, labels, size, latents=data['G_loss/latents'],
                            **info['G_loss_kwargs'])
    reals = tf.constant(data['D_loss/reals'][:, :, ::shrink, ::shrink])
    return D_wgangp_acgan(
        *views, opt, None, size, reals, data['D_loss/labels'], latents=data['D_loss/latents'],
        mixing_factors=data['D_loss/mixing_factors'], **info['D_loss_kwargs'])


def _differentiated(loss, opt, variables, task):
    """A loss per sample and its gradients as arrays, from a compiled function."""
    import tensorflow as tf

    from pgan.nn.sharing import evaluating
    from tfutil import summary
    from tfutil.fusion import fusing

    def compute_loss():
        with evaluating():
            return loss()

    @tf.function(autograph=False)
    def compute():
        with summary.collecting():
            values, gradients = opt.compute_gradients(compute_loss, variables)
        return values, [None if g is None else opt.undo_loss_scaling(g) for g in gradients]
    with fusing(task['fuse']):
        values, gradients = compute()
    return values.numpy(), [None if g is None else g.numpy() for g in gradients]


# ---------------------------------------------------------------- random numbers

def random(task):
    """Compare the draws of `tfutil.randomness` on the device with those on the CPU.

    Yields:
        dict of bits_equal and xla_bits_equal (of `integers`), normal_error and xla_normal_error:
        largest differences of `normal`.
    """
    expected = _draws('/CPU:0', False)
    for_device = '/GPU:0' if task['device'] == 'gpu' else '/CPU:0'
    found = {}
    for prefix, compiled in (('', False), ('xla_', True)):
        bits, normals = _draws(for_device, compiled)
        found[f'{prefix}bits_equal'] = bool((bits == expected[0]).all())
        found[f'{prefix}normal_error'] = significant(
            float(np.abs(normals - expected[1]).max()), 3)
    yield dict(found, numbers=int(expected[0].size + expected[1].size))


def _draws(device, compiled):
    """Random bits and normal numbers of a key table, drawn on a device, with XLA or without."""
    import tensorflow as tf

    from tfutil import randomness

    @tf.function(autograph=False, jit_compile=compiled)
    def draw(table):
        with randomness.keyed_by(table):
            return randomness.integers([100_001], 2 ** 31 - 1), randomness.normal([64, 513])
    with tf.device(device):
        return [x.numpy() for x in draw(tf.constant(randomness.key_table(7, 12345, 1, 2)))]


# ---------------------------------------------------------------- augmentation

def augment(task):
    """Repeat the gradient of augmented images. With determinism, the results must be equal.

    Args:
        task: dict of method, stage, minibatch, repeats.

    Yields:
        dict of method, stage, minibatch, distinct (number of different results), ms (median).
    """
    import tensorflow as tf

    from pgan.training.augment import Augmentation
    from tfutil import randomness
    from tfutil.fusion import fusing
    augmentation = Augmentation(task['method'], probability=lambda: tf.constant(0.8))
    table = tf.constant(randomness.key_table(7, 12345, 1, DRAWS))

    @tf.function(autograph=False)
    def gradient(images, weights):
        with randomness.keyed_by(table), tf.GradientTape() as tape:
            tape.watch(images)
            total = tf.reduce_sum(augmentation(images)[0] * weights)
        return tape.gradient(total, images)
    shape = task['minibatch'], 3, task['stage'], task['stage']
    images, weights = (tf.constant(np.random.RandomState(seed).uniform(-1, 1, shape), tf.float32)
                       for seed in range(2))
    results, seconds = set(), []
    with fusing():
        gradient(images, weights)
    for _ in range(task['repeats']):
        seconds.append(timed(lambda: results.add(gradient(images, weights).numpy().tobytes())))
    yield dict(method=task['method'], stage=task['stage'], minibatch=task['minibatch'],
               distinct=len(results), ms=significant(1000 * statistics.median(seconds)))


# ---------------------------------------------------------------- half precision

def half(task):
    """Train briefly in half precision on synthetic images.

    Args:
        task: dict of dtype, stage, width, minibatch, steps.

    Yields:
        dict of D_overflow and G_overflow (share of skipped updates in each half of the steps),
        D_scale and G_scale (log2 of the final loss scale; None without), nonfinite (number of
        weights that are not finite), mixed_norms (their mean in the second half).
    """
    from tfutil import summary
    use_kernels()
    steps = make_steps(task['stage'], task['width'], task['dtype'], _spots(task['stage']))
    now, found = moment(task['stage'], task['stage'], task['minibatch']), {}
    summary.flush()
    shares = {'D': [], 'G': []}
    for _ in range(2):
        for _ in range(task['steps'] // 2):
            steps.run(now)
        means = summary.flush()
        for which, values in shares.items():
            values.append(significant(means[f'Train{which}/overflow_frequency'], 3))
    for which, opt in (('D', steps.D_opt), ('G', steps.G_opt)):
        found[f'{which}_overflow'] = shares[which]
        found[f'{which}_scale'] = float(opt.loss_scaling) if opt.use_loss_scaling else None
    values = [net.get_var(name) for net in (steps.G, steps.D, steps.Gs) for name in net.vars]
    yield dict(dtype=task['dtype'], stage=task['stage'], steps=task['steps'], **found,
               nonfinite=int(sum((~np.isfinite(value)).sum() for value in values)),
               mixed_norms=means.get('Loss/mixed_norms'))


def _spots(resolution):
    """Data set of bright spots of random position, size and colour on black."""
    import dataset

    class Spots(dataset.SyntheticDataset):
        def _generate_images(self, minibatch_size, lod, shape):
            rnd, axis = np.random.RandomState(self.position), np.linspace(-1, 1, shape[-1])
            x, y = rnd.uniform(-0.5, 0.5, [2, minibatch_size, 1, 1])
            size = rnd.uniform(0.2, 0.5, [minibatch_size, 1, 1])
            spots = np.exp(-((axis[:, None] - y) ** 2 + (axis - x) ** 2) / size ** 2)
            colour = rnd.uniform(50, 255, [minibatch_size, shape[0], 1, 1])
            return (spots[:, None] * colour).astype(np.uint8)
    return Spots(resolution, 3)
