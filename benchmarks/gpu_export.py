"""Compiled gradients of a training step, exported to run with JAX on machines without TensorFlow.

`export` writes, for D and for G, the part that XLA compiles in a training step with `xla=True`: the
StableHLO of loss and gradients, and an .npz of inputs and of expected outputs, which TensorFlow
computed on the CPU without XLA. `run_exported` compiles the StableHLO with JAX, compares the
outputs and times it. Its numbers, speed and memory are those of XLA on that device, without
TensorFlow's executor, its allocator and the update of the weights.

Large inputs are stored as seeds, and large outputs as samples, so files stay small.
"""
import gzip
import json
import math
import sys
import time

import numpy as np

from benchmarks.common import significant
from pgan.invocation import module_command
from pgan.resolutions import log2_of

SAMPLE = 4096  # values stored per output; larger inputs are stored as seeds
DRAWS = 8  # keys of random draws, more than either loss uses
WARM_UP, TIMED = 3, 20  # steps


# ---------------------------------------------------------------- writing

def export(args):
    """Write the gradients of the stages and types of the command line; print a line for each."""
    from benchmarks.gpu_tasks import FULL, TINY, scale_of
    from tfutil import init_tf
    init_tf(random_seed=1)
    args.dtypes = args.dtypes or ['float32']
    scale = scale_of(args)
    args.export.mkdir(parents=True, exist_ok=True)
    for dtype in scale.dtypes:
        for stage in scale.stages:
            limit = (FULL if args.device == 'gpu' else TINY).minibatch
            for line in export_stage(args.export, scale, stage, dtype, args.kernels, limit):
                print(json.dumps(line), flush=True)
    return 0


def export_stage(folder, scale, stage, dtype, kernels, limit):
    """Write the gradients of D and of G at one stage. Yields a dict about each."""
    from benchmarks.gpu_speed import Variant, make_steps, use_kernels
    use_kernels(kernels)
    variant = Variant(stage, dtype)
    minibatch = min(variant.minibatch, limit or variant.minibatch)
    steps = make_steps(scale.resolution, scale.width, 'float32' if dtype == 'tf32' else dtype,
                       xla=True)
    seeds = seed_weights(steps)
    for which in 'DG':
        start = time.perf_counter()
        function, inputs = gradient_function(steps, which, scale.resolution, stage, minibatch)
        name = f'{which}-{stage}-{dtype}-{kernels}'
        text, contents = compiled_text(function, inputs, seeds, steps)
        meta = dict(name=name, which=which, stage=stage, dtype=dtype, kernels=kernels,
                    minibatch=minibatch, resolution=scale.resolution, sample=SAMPLE, **scale.width)
        with gzip.open(folder / f'{name}.stablehlo.gz', 'wt') as file:
            file.write(text)
        np.savez_compressed(folder / f'{name}.npz', meta=json.dumps(meta), **contents)
        yield dict(meta, text_bytes=len(text), seconds=significant(time.perf_counter() - start, 3))


def seed_weights(steps):
    """Set all weights to normal numbers of known seeds. Returns {variable reference: seed}."""
    seeds = {}
    for net in (steps.G, steps.D):
        for name, var in net.trainables.items():
            if name.endswith('weight') and math.prod(var.shape) > SAMPLE:
                seeds[var.ref()] = len(seeds)
                var.assign(seeded_array(len(seeds) - 1, var.shape.as_list(), 'float32'))
    return seeds


def seeded_array(seed, shape, dtype):
    """Array drawn from a seed: normal numbers, or uniform bytes for dtype 'uint8'."""
    rnd = np.random.RandomState(seed)
    if dtype == 'uint8':
        return rnd.randint(0, 256, shape).astype(np.uint8)
    return rnd.standard_normal(shape).astype(dtype)


def gradient_function(steps, which, resolution, stage, minibatch):
    """The part of an update of D or G that XLA compiles: (Python function, its inputs).

    An input is an array or, if it is large, a dict of seed, shape and dtype.
    """
    from pgan.training.updates import ScheduleTensors, Updates
    from tfutil import Stage, randomness, summary

    class Gradients(Updates):
        """Updates that stop at the gradients."""

        def minimize(self, name, losses, keys, goals):
            with randomness.keyed_by(keys), summary.collecting() as collected:
                self.result = self.gradients(losses, goals), collected.statistics().values

        def move_Gs(self):
            pass
    lod = float(log2_of(resolution // stage))
    updates = Gradients(steps, steps.options, Stage.of(lod, resolution), minibatch)

    def D_gradients(keys, reals, labels):
        updates.update_D(ScheduleTensors(lod, 0.0, 0.0), keys, reals, labels)
        return updates.result

    def G_gradients(keys):
        updates.update_G(ScheduleTensors(lod, 0.0, 0.0), keys)
        return updates.result
    keys = randomness.key_table(1, 5, 1, DRAWS)
    if which == 'G':
        return G_gradients, [keys]
    reals = dict(seed=1, shape=[minibatch, 3, stage, stage], dtype='uint8')
    return D_gradients, [keys, reals, np.zeros([minibatch, 0], np.float32)]


def compiled_text(function, inputs, seeds, steps):
    """StableHLO of a function, and the contents of its .npz."""
    import tensorflow as tf

    from benchmarks.graphs import stablehlo
    arguments = [tf.constant(array_of(given)) for given in inputs]
    text = stablehlo(tf.function(function, autograph=False, jit_compile=True), *arguments)
    plain = tf.function(function, autograph=False).get_concrete_function(*arguments)
    outputs = [x.numpy() for x in tf.nest.flatten(plain(*arguments)) if x is not None]
    known = {id(var.handle): var for var in plain.graph.variables}
    for captured in plain.captured_inputs:
        var = known.get(id(captured))
        value = captured.numpy() if var is None else var.numpy()
        inputs = [*inputs, value if var is None or var.ref() not in seeds else
                  dict(seed=seeds[var.ref()], shape=list(value.shape), dtype='float32')]
    contents = {f'in{i:04}': json.dumps(given) if isinstance(given, dict) else given
                for i, given in enumerate(inputs)}
    for i, output in enumerate(outputs):
        contents[f'out{i:04}'] = sampled(output, SAMPLE)
    return text, contents


def sampled(array, most):
    """Values of an array, evenly spread: fewer than twice `most`."""
    flat = np.asarray(array).ravel()
    return flat[::max(1, flat.size // most)]


def array_of(given):
    """Array of an input, which may be an array, or a seed as a dict or as JSON."""
    if isinstance(given, np.ndarray) and given.dtype.kind == 'U':
        given = json.loads(str(given))
    return seeded_array(**given) if isinstance(given, dict) else given


# ---------------------------------------------------------------- running

def run_exported(folder):
    """Run the exported functions; print a JSON line for each. Returns the exit code.

    For full float32 on a GPU set the environment variable NVIDIA_TF32_OVERRIDE=0.
    """
    try:
        import jax
    except ImportError as error:
        print(f'error: JAX is not installed ({error}). Install it with: '
              f'{module_command("pip", "install", "jax")}', file=sys.stderr)
        return 1
    jax.config.update('jax_enable_x64', True)  # keys of random draws are uint64
    paths = sorted(folder.glob('*.npz'), key=lambda path: (int(path.stem.split('-')[1]), path.stem))
    if not paths:
        print(f"error: '{folder}' has no exported functions. Write them with: "
              f'{module_command("benchmarks.gpu", "--export", folder)}', file=sys.stderr)
        return 1
    failed = 0
    for path in paths:
        try:
            line = run_one(path)
        except Exception as error:
            line = dict(name=path.stem, error=f'{type(error).__name__}: {str(error)[:500]}')
            failed += 1
        print(json.dumps(line), flush=True)
    return 1 if failed else 0


def run_one(path):
    """Compile, run, compare and time one exported function.

    Returns:
        dict of its description, compile_sec, sec_per_step, sec_per_kimg, temp_mb, device, and the
        errors divided by the largest expected value of each output.
    """
    import jax
    with np.load(path) as data:
        contents = dict(data)
    meta = json.loads(str(contents['meta']))
    inputs = [array_of(value) for name, value in contents.items() if name.startswith('in')]
    expected = [value for name, value in contents.items() if name.startswith('out')]
    with gzip.open(path.with_suffix('.stablehlo.gz'), 'rt') as file:
        text = file.read()
    start = time.perf_counter()
    executable = compile_text(text)
    compile_sec = time.perf_counter() - start
    # XLA has no parameters for arrays without values.
    buffers = [jax.device_put(value) for value in inputs if value.size]
    outputs = execute(executable, buffers)
    errors = compare([sampled(output, meta['sample']) for output in outputs], expected)
    for _ in range(WARM_UP):
        execute(executable, buffers)
    start = time.perf_counter()
    for _ in range(TIMED):
        outputs = execute(executable, buffers, wait=False)
    jax.block_until_ready(outputs)
    seconds = (time.perf_counter() - start) / TIMED
    device = jax.devices()[0]
    return dict(meta, **errors, compile_sec=round(compile_sec, 1),
                sec_per_step=significant(seconds),
                sec_per_kimg=significant(seconds / meta['minibatch'] * 1000),
                temp_mb=temp_mb(executable), device=device.device_kind, jax=jax.__version__)


def compile_text(text):
    """Executable of a StableHLO module on JAX's first device."""
    # JAX has no public way to compile a module that it did not make.
    import jax
    from jax._src import compiler
    from jax._src.interpreters import mlir
    from jax._src.lib import xla_client
    from jax._src.lib.mlir import ir
    device = jax.devices()[0]
    options = compiler.get_compile_options(num_replicas=1, num_partitions=1)
    with mlir.make_ir_context():
        bytecode = mlir.module_to_bytecode(ir.Module.parse(text))
    if hasattr(device.client, 'compile_and_load'):
        return device.client.compile_and_load(bytecode, xla_client.DeviceList((device,)), options)
    return device.client.compile(bytecode, options)


def execute(executable, buffers, wait=True):
    """Outputs of an executable, as JAX arrays on the device."""
    import jax
    parts = executable.execute_sharded(buffers).disassemble_into_single_device_arrays()
    outputs = [shards[0] for shards in parts]
    return jax.block_until_ready(outputs) if wait else outputs


def compare(samples, expected):
    """Errors of sampled outputs, divided by the largest expected value of each.

    Raises:
        ValueError: the number or the size of the outputs differs.
    """
    if [sample.shape for sample in samples] != [value.shape for value in expected]:
        raise ValueError(f'expected {len(expected)} outputs of the sizes that were exported, got '
                         f'{len(samples)} of others.')
    relative = [float(np.abs(a - b).max() / (np.abs(b).max() + 1e-30))
                for a, b in zip(samples, expected)]
    finite = sorted(error for error in relative if math.isfinite(error)) or [math.inf]
    return dict(outputs=len(samples), nonfinite=len(relative) - len(finite),
                worst_relative=significant(finite[-1], 3),
                median_relative=significant(finite[len(finite) // 2], 3))


def temp_mb(executable):
    """Memory of temporary values in MB; None where XLA does not report it."""
    try:
        return executable.get_compiled_memory_stats().temp_size_in_bytes >> 20
    except (AttributeError, RuntimeError, NotImplementedError):
        return None
