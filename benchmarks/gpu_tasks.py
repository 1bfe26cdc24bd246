"""Tasks of `benchmarks.gpu`: their order, options and expected times."""
from typing import NamedTuple

from benchmarks.gpu_speed import METHODS, MINIBATCHES, Peer, Variant, ordered_variants

PARTS = ('machine', 'golden', 'random', 'speed', 'peer', 'determinism', 'augment', 'pipeline',
         'generate', 'half', 'shortage')
DTYPES = ('bfloat16', 'float32', 'tf32', 'float16')
STAGES = (4, 32, 128, 512, 1024)
RESOLUTIONS = tuple(MINIBATCHES)
KEPT = 0.3  # share of the time that most measurements of speed leave to the parts after them

# A process caches cuDNN's choice of algorithms, even if the allowed precision changes later. So
# TensorFloat-32 has separate processes.
FLOAT32, TF32, NO_TENSORFLOW = (), ('--tf32',), ('--no_tensorflow',)
DETERMINISTIC = ('--deterministic',)


class Task(NamedTuple):
    """A task of a child process.

    Attributes:
        part: of `PARTS`.
        name: its name within the part.
        setting: options of the child. Consecutive tasks of one setting share a child.
        needs: seconds that it is expected to take.
        options: dict for the part's function.
    """
    part: str
    name: str
    setting: tuple
    needs: float
    options: dict


class Scale(NamedTuple):
    """Sizes of everything.

    Attributes:
        resolution: full resolution of the networks.
        width: dict of fmap_base and fmap_max.
        stages, dtypes: of `speed`.
        minibatch: the largest; None: the official ones.
        seconds: of a measurement.
        cases: golden cases of each kind; None: all.
        half_stages, half_steps: of `half`.
        images: to generate.
        run: options of `determinism`.
        needs: factor on the seconds that tasks are expected to take on a GPU.
    """
    resolution: int
    width: dict
    stages: tuple
    dtypes: tuple
    minibatch: int | None
    seconds: float
    cases: int | None
    half_stages: tuple
    half_steps: int
    images: int
    run: dict
    needs: float


FULL = Scale(1024, dict(fmap_base=8192, fmap_max=512), STAGES, DTYPES, None, 4.0, None,
             (4, 128, 32), 200, 64,
             dict(resolution=32, width=dict(fmap_base=1024, fmap_max=128), kimg=0.32), 1.0)
TINY = Scale(16, dict(fmap_base=32, fmap_max=8), (4,), ('float32',), 4, 0.1, 2, (4,), 4, 8,
             dict(resolution=4, width=dict(fmap_base=32, fmap_max=8), kimg=0.08), 0.2)


def scale_of(args):
    """The `Scale` of the command line."""
    scale = TINY if args.device == 'cpu' else FULL
    return scale._replace(stages=tuple(args.stages or scale.stages),
                          dtypes=tuple(args.dtypes or scale.dtypes),
                          resolution=max(scale.resolution, *(args.stages or [4])))


class Plan(NamedTuple):
    """Tasks by importance.

    Attributes:
        first: tasks that even a short run includes.
        then: more measurements of speed, which leave time to `last`.
        last: the parts after `speed`.
        rest: tasks for the remaining time.
    """
    first: list
    then: list
    last: list
    rest: list


def make_plan(args):
    """The `Plan` of the command line. `machine` is always a part of it."""
    scale = scale_of(args)
    first, then, rest = (
        [speed_task(scale, what) for what in variants]
        for variants in ordered_variants(scale.stages, scale.dtypes))
    main_golden, more_golden = golden_tasks(scale)
    machine = Task('machine', 'TensorFlow', main_golden[0].setting, 10, {})
    random = Task('random', 'draws', FLOAT32, 5, {})
    wanted = {'machine', *args.only}
    plan = Plan([machine, *main_golden, random, *first], then, last_tasks(scale),
                [*more_golden, *rest])
    return Plan(*([task._replace(needs=task.needs * scale.needs)
                   for task in tasks if task.part in wanted] for tasks in plan))


def golden_tasks(scale):
    """Tasks of the part `golden`: (the important ones, the others)."""
    def task(dtype, kernels='3x3', fuse=False, *, cases):
        name = f'{dtype} {kernels}' + ' fused' * fuse
        needs = (20 if cases is None else cases) * (3 if fuse else 1)
        return Task('golden', name, setting_of(dtype), needs,
                    dict(dtype=dtype, kernels=kernels, fuse=fuse, cases=cases))
    some = scale.cases or 12
    few = scale.cases or 6  # XLA compiles each operation and shape of the others
    return ([task('tf32', cases=some), task('tf32', '4x4', cases=some),
             task('float32', cases=scale.cases), task('float32', '4x4', cases=some),
             task('float32', fuse=True, cases=few), task('bfloat16', cases=some),
             task('float16', cases=some)],
            [task('float32', '4x4', fuse=True, cases=few), task('bfloat16', '4x4', cases=some),
             task('float16', '4x4', cases=some), task('tf32', fuse=True, cases=few),
             task('tf32', '4x4', fuse=True, cases=few)])


def setting_of(dtype):
    return TF32 if dtype == 'tf32' else FLOAT32


def speed_task(scale, what):
    """Task of a `Variant` or of a `Peer`."""
    variant = what.variant if isinstance(what, Peer) else what
    minibatch = min(variant.minibatch, scale.minibatch or variant.minibatch)
    options = dict(variant=variant._asdict(), resolution=scale.resolution, width=scale.width,
                   minibatch=minibatch, seconds=scale.seconds)
    if isinstance(what, Variant):
        needs = {4: 12, 32: 16, 128: 20}.get(variant.stage, 28) * (3 if variant.xla else 1)
        return Task('speed', variant.name, setting_of(variant.dtype), needs, options)
    return Task('peer', what.name, NO_TENSORFLOW, 70 if what.compiled else 25,
                dict(options, compiled=what.compiled))


def last_tasks(scale):
    """Tasks of the parts after `speed`."""
    top = f'{max(scale.stages)} '
    minibatch = min(Variant(max(scale.stages)).minibatch, scale.minibatch or 8)
    sized = dict(resolution=scale.resolution, width=scale.width)
    augmented = dict(stage=min(128, max(scale.stages)), minibatch=minibatch, repeats=5)
    tasks = [Task('determinism', 'train.py', NO_TENSORFLOW, 60, scale.run),
             *(Task('augment', method + ' deterministic' * bool(setting), setting, 8,
                    dict(augmented, method=method))
               for setting in (DETERMINISTIC, FLOAT32) for method in METHODS),
             Task('pipeline', 'reading and copying', FLOAT32, 20,
                  dict(resolution=scale.resolution, images=24, minibatch=minibatch,
                       seconds=scale.seconds / 2, steps=[top + dtype for dtype in scale.dtypes]))]
    tasks += [Task('generate', dtype, FLOAT32, 15,
                   dict(sized, dtype=dtype, minibatch=min(8, scale.images), images=scale.images))
              for dtype in ('float32', 'bfloat16')]
    tasks += [Task('half', f'{dtype} {stage}', FLOAT32, {4: 12, 32: 16}.get(stage, 25),
                   dict(width=scale.width, dtype=dtype, stage=stage, steps=scale.half_steps,
                        minibatch=min(Variant(stage).minibatch, scale.minibatch or 128)))
              for dtype in ('float16', 'bfloat16') for stage in scale.half_stages]
    small = (16, 3000, 1, ('--memory_mb=3000',))
    huge = (4096, None, 32, ('--memory_mb=0',))  # no limit, but a process of its own
    tasks += [Task('shortage', f'minibatch {minibatch}', setting, 20,
                   dict(sized, minibatch=minibatch, memory_mb=memory_mb, host_gb=host_gb))
              for minibatch, memory_mb, host_gb, setting in (small, huge)]
    return tasks
