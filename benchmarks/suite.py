"""The list of measurements of `python -m benchmarks`: each is a command that prints result lines.
"""
from typing import NamedTuple

from benchmarks.common import as_options

SECTIONS = {
    'machine': 'the ceiling: matrix products, convolutions, memory bandwidth',
    'training': 'training step by resolution and precision, stable and fading, narrow and at the '
                'paper\'s width',
    'large': 'the first four stages of a 1024x1024 run',
    'bare': 'this program\'s training step compared with a plain one',
    'generator': 'loading a snapshot and generating images with it',
    'pipeline': 'reading a data set for the training step',
    'dataset_tool': 'making data sets',
    'startup': 'time from `python train.py` to the first step; compilation; image grids, '
               'snapshots, checkpoints',
    'peers': 'comparison with a PyTorch package (with --peers)',
}
NARROW = dict(fmap_base=256, fmap_max=64)
PAPER = dict(fmap_base=8192, fmap_max=512)
NARROW_MINIBATCH = {4: 128, 8: 128, 16: 128, 32: 64}
DTYPES = ('float32', 'bfloat16')


class Measurement(NamedTuple):
    """One child process.

    Attributes:
        key: its name in the results.
        section: one of SECTIONS.
        command: for `common.run_child`.
        timeout: seconds.
    """
    key: str
    section: str
    command: list
    timeout: float = 3600


def plan(sections, quick=False):
    """Return the measurements of some sections, in the order of execution.

    Args:
        sections: names out of SECTIONS.
        quick: tiny versions that only test the benchmarks; their numbers mean nothing.
    """
    makers = dict(machine=_machine, training=_training, large=_large, bare=_bare,
                  generator=_generator, pipeline=_pipeline, dataset_tool=_dataset_tool,
                  startup=_startup, peers=_peers)
    return [
        measurement for section in SECTIONS if section in sections
        for measurement in makers[section](quick)
    ]


def _machine(quick):
    yield Measurement('machine', 'machine',
                      ['benchmarks.machine', *(['--quick', '--seconds=0.2'] if quick else [])])


def _step(section, width, options, quick):
    seconds = 0.3 if quick else 10 if width == 'narrow' else 40
    stage = options['resolution'] >> int(options['lod'])
    key = f'{section}/{width}/{stage}{"-fading" * (options["lod"] % 1 > 0)}/{options["dtype"]}'
    return Measurement(
        key, section,
        ['benchmarks.training_step', *as_options(dict(options, seconds=seconds)), '--ceiling'])


def _training(quick):
    widths = {
        'narrow': (NARROW, NARROW_MINIBATCH), 'paper': (PAPER, dict.fromkeys((4, 8, 16, 32), 16))
    }
    stages = [(32, 0.0),
              (4, 3.0)] if quick else [(size, lod)
                                       for size, lod in zip((4, 8, 16, 32), (3.0, 2.0, 1.0, 0.0))]
    if not quick:
        stages += [(8, 2.5), (16, 1.5), (32, 0.5)]
    for width, (options, minibatches) in widths.items():
        if quick and width == 'paper':
            stages, minibatches = [(4, 3.0)], {4: 4}
        for dtype in DTYPES[:1] if quick else DTYPES:
            for size, lod in stages:
                yield _step(
                    'training', width,
                    dict(resolution=32, lod=lod, minibatch=minibatches[size], dtype=dtype,
                         **options), quick)


def _large(quick):
    if quick:
        yield _step('large', 'narrow',
                    dict(resolution=128, lod=5.0, minibatch=4, dtype='float32', **NARROW), quick)
        return
    for lod in (8.0, 7.0, 6.0, 5.0):
        yield _step('large', 'paper',
                    dict(resolution=1024, lod=lod, minibatch=16, dtype='float32', **PAPER), quick)


def _bare(quick):
    for size, minibatch in ((8, 16),) if quick else NARROW_MINIBATCH.items():
        options = dict(resolution=size, minibatch=minibatch, seconds=0.3 if quick else 15, **NARROW)
        yield Measurement(f'bare/narrow/{size}', 'bare',
                          ['benchmarks.bare_step', *as_options(options)])
    if not quick:
        for size in (4, 8, 32):
            options = dict(resolution=size, minibatch=16, seconds=40, **PAPER)
            yield Measurement(f'bare/paper/{size}', 'bare',
                              ['benchmarks.bare_step', *as_options(options)])


def _generator(quick):
    sizes = {16: NARROW} if quick else dict.fromkeys((4, 16, 32, 64, 128, 256, 512, 1024), PAPER)
    for size, width in sizes.items():
        options = dict(resolution=size, minibatch=4 if size > 256 else 16,
                       seconds=0.3 if quick else 8, **width)
        yield Measurement(
            f'generator/{size}', 'generator',
            ['benchmarks.snapshot', *as_options(options), *(['--dtype=float32'] if quick else [])])


def _pipeline(quick):
    sets = {16: 40} if quick else {256: 3000, 1024: 150}
    for size, count in sets.items():
        options = dict(resolution=size, num_images=count, seconds=0.1 if quick else 3)
        only = [f'--only={r}' for r in (512, 1024)] if size == 1024 else []
        yield Measurement(f'pipeline/{size}', 'pipeline',
                          ['benchmarks.pipeline', *as_options(options), *only])


def _dataset_tool(quick):
    from benchmarks.dataset_tool import CASES
    for case in ('images256',) if quick else CASES:
        yield Measurement(
            f'dataset_tool/{case}', 'dataset_tool',
            ['benchmarks.dataset_tool', f'--case={case}', f'--num_images={40 if quick else 2000}'])


def _startup(quick):
    if quick:
        options = dict(resolution=8, minibatch=16, phase_kimg=0.2, runs=1, fmap_base=64,
                       fmap_max=16)
        yield Measurement('startup/narrow', 'startup', ['benchmarks.startup', *as_options(options)])
        return
    yield Measurement(
        'startup/narrow', 'startup',
        ['benchmarks.startup', *as_options(dict(resolution=32, minibatch=64, **NARROW))])
    # the run above is the warm-up
    options = dict(resolution=1024, minibatch=4, phase_kimg=0.02, runs=1, **PAPER)
    yield Measurement('startup/1024', 'startup', ['benchmarks.startup', *as_options(options)],
                      timeout=7200)


def _peers(quick):
    for size in (4,) if quick else (4, 8, 16, 32):
        options = dict(resolution=size, minibatch=4 if quick else 16, turns=1 if quick else 5,
                       seconds=0.3 if quick else 60)
        yield Measurement(f'peers/{size}', 'peers', ['benchmarks.peers', *as_options(options)],
                          timeout=7200)
