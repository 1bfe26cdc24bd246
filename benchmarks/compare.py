"""Compare two variants of the training step: python -m benchmarks.compare -h

    git worktree add ../before HEAD~1
    python -m benchmarks.compare ../before . --minibatch 16       # another checkout and this one
    python -m benchmarks.compare . .+dtype=bfloat16               # an option of the training step
    python -m benchmarks.compare . .+env.TF_ENABLE_ONEDNN_OPTS=0  # an environment variable
    python -m benchmarks.compare . .+patch=idea.py                # a file, run before the steps

Each variant has a separate process. They run alternately, so other load on the machine affects
both. The result is the median of the ratios B / A of neighbouring turns. Prints one JSON line.
"""
import argparse
import contextlib
import json
import math
import os
import pathlib
import statistics
import sys
import tempfile

# In a variant's process, modules come from its checkout; only this file comes from here.
if __name__ == '__main__' and '--work' in sys.argv[1:2]:
    sys.path[:] = [
        os.getcwd(), *(path for path in sys.path[1:] if os.path.abspath(path) != os.getcwd())
    ]

_HERE = pathlib.Path(__file__).resolve()


def _common():
    """This checkout's `benchmarks.common`, even if `benchmarks` is another checkout's package."""
    import importlib.util
    spec = importlib.util.spec_from_file_location('benchmarks_common', _HERE.with_name('common.py'))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


common = _common()


def step_options():
    """Options in which variants may differ. `benchmarks.training_step` of older checkouts has them
    too.
    """
    return dict(resolution=32, lod=0.0, channels=3, labels=0, fmap_base=256, fmap_max=64,
                minibatch=64, dtype='float32')


def parse_args(argv=None):
    parser = common.Parser(prog='python -m benchmarks.compare', description=__doc__,
                           formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('a', metavar='A', help='folder of a checkout, and changes: '
                                               'FOLDER[+NAME=VALUE]...')
    parser.add_argument('b', metavar='B', help='the other variant')
    for name, value in step_options().items():
        parser.add_argument(f'--{name}', type=type(value), default=value,
                            help=f'of both (default: {value})')
    parser.add_argument('--turns', type=int, default=10,
                        help='of each, after a warm-up turn (default: 10)')
    parser.add_argument('--seconds', type=float, default=20.0,
                        help='measure for at least this long '
                        '(default: 20)')
    parser.add_argument('--check', type=int, default=0, metavar='N',
                        help='first make N rounds of updates from the same seed, and compare the '
                             'resulting weights')
    args = parser.parse_args(argv)
    for name in ('a', 'b'):
        try:
            setattr(args, f'variant_{name}', parse_variant(getattr(args, name)))
        except ValueError as error:
            parser.error(str(error))
    return args


def parse_variant(text):
    """Parse 'FOLDER+NAME=VALUE...' into a dict of folder, options, environ and patch.

    `patch` is a path or None.

    Raises:
        ValueError: the format is wrong, or a folder, file or name does not exist.
    """
    folder, *parts = text.split('+')
    folder = pathlib.Path(folder or '.').resolve()
    if not (folder / 'benchmarks' / 'training_step.py').is_file():
        raise ValueError(f'{str(folder)!r} is not a checkout of this repository: it has no '
                         'benchmarks/training_step.py.')
    variant, known = dict(folder=str(folder), options={}, environ={}, patch=None), step_options()
    for part in parts:
        name, equals, value = part.partition('=')
        if name.startswith('env.') and equals:
            variant['environ'][name.removeprefix('env.')] = value
        elif name == 'patch' and pathlib.Path(value).is_file():
            variant['patch'] = str(pathlib.Path(value).resolve())
        elif name in known and equals:
            variant['options'][name] = type(known[name])(value)
        else:
            raise ValueError(f'{part!r} in {text!r}: expected env.NAME=VALUE, patch=FILE (an '
                             f'existing file), or NAME=VALUE with one of {", ".join(known)}.')
    return variant


# ---------------------------------------------------------------- a variant's process

def work(variant):
    """Build a variant's steps, then answer 'turn' and 'moves FILE' lines of the parent process."""
    common.only_results_on_stdout()
    if variant['patch']:
        exec(compile(pathlib.Path(variant['patch']).read_text(), variant['patch'], 'exec'),
             {'__name__': 'patch'})
    import numpy as np

    from benchmarks.training_step import make_steps
    from tfutil import init_tf
    init_tf(random_seed=1)
    args = argparse.Namespace(**variant['options'])
    steps = make_steps(args)
    one_round = _round_of(steps, args)

    def weights():
        return {
            f'{net.name}/{name}': var.numpy()
            for net in (steps.G, steps.D, steps.Gs)
            for name, var in net.trainables.items()
        }
    before = weights()
    for _ in range(variant['check']):
        one_round()
    moves = {name: value - before[name]
             for name, value in weights().items()} if variant['check'] else {}
    compile_sec = common.timed(one_round)
    rounds = max(1, math.ceil(0.2 / common.timed(one_round)))

    def answer(line):
        if line.startswith('moves '):
            np.savez(line.removeprefix('moves '), **moves)
            return {}
        return dict(sec_per_kimg=common.timed(lambda: [one_round() for _ in range(rounds)]) /
                    (rounds * args.minibatch) * 1000)
    common.serve(answer, compile_sec=None if variant['check'] else round(compile_sec, 1))


def _round_of(steps, args):
    """Function of one D and one G update.

    Checkouts from before `TrainingSteps.run` have a list of functions instead.
    """
    moment = argparse.Namespace(lod=args.lod, minibatch=args.minibatch, D_lrate=0.001,
                                G_lrate=0.001)
    if not hasattr(steps, 'run'):
        steps.set_lod(args.lod)

    def one_round():
        if hasattr(steps, 'run'):
            # older checkouts call it `cycle`
            kinds = steps.step_kinds if hasattr(steps, 'step_kinds') else steps.cycle
            for number in range(len(kinds)):
                steps.run(moment, number)
        else:
            for step in steps.repeat():
                step(moment)
    return one_round


def start(variant, options, check=0):
    """A `common.Worker` with a variant's steps. It sends its first answer after compiling them."""
    task = dict(variant, options={**options, **variant['options']}, check=check)
    return common.Worker([sys.executable, str(_HERE), '--work',
                          json.dumps(task)],
                         environ={'TF_CPP_MIN_LOG_LEVEL': '2',
                                  **variant['environ']}, cwd=variant['folder'])


# ---------------------------------------------------------------- both

def apart(a, b):
    """Distance between two variants' weights, relative to how far they have moved.

    Args:
        a, b: total change of each variable after the same updates from the same start,
            {name: array}.

    Returns:
        dict of of_all (over all weights), most (the largest of any variable), variable (its name).

    With Adam's beta1 = 0 each weight moves by about the learning rate in the direction of its
    gradient's sign. A gradient that is only a rounding error moves a weight just as far, so a few
    weights always differ.
    """
    import numpy as np
    if set(a) != set(b):
        return dict(of_all=None, variable='the variants have different variables: '
                                          f'{sorted(set(a) ^ set(b))[:4]}')
    squares = {
        name: (float(np.square(a[name] - b[name]).sum()), float(np.square(a[name]).sum()))
        for name in a
    }
    ratio = lambda pair: math.sqrt(pair[0] / pair[1]) if pair[1] else float(pair[0] > 0)
    most = max(squares, key=lambda name: ratio(squares[name]))
    return dict(of_all=common.significant(ratio([sum(pair) for pair in zip(*squares.values())])),
                most=common.significant(ratio(squares[most])), variable=most)


def measure(args):
    """Run both variants alternately and return the result."""
    options = {name: getattr(args, name) for name in step_options()}
    result = dict(benchmark='compare', a=args.a, b=args.b, **options)
    with contextlib.ExitStack() as stack:
        workers = {}
        for name in 'ab':  # sequentially, so that each compiles undisturbed
            workers[name] = stack.enter_context(
                start(getattr(args, f'variant_{name}'), options, args.check))
            result[f'{name}_compile_sec'] = workers[name].answer()['compile_sec']
        if args.check:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            result['after_updates'] = dict(rounds=args.check, **_compare_moves(workers, folder))
        players = {
            name: lambda worker=worker: worker.ask()['sec_per_kimg']
            for name, worker in workers.items()
        }
        turns = common.take_turns(players, args.turns, args.seconds)
    for name in 'ab':
        result[f'{name}_sec_per_kimg'] = common.significant(statistics.median(turns[name]))
    return dict(result, b_beside_a=common.pair_ratios(turns['b'], turns['a']), load=common.load())


def _compare_moves(workers, folder):
    import numpy as np
    moves = []
    for name, worker in workers.items():
        path = os.path.join(folder, f'{name}.npz')
        worker.ask(f'moves {path}')
        with np.load(path) as arrays:
            moves.append(dict(arrays))
    return apart(*moves)


if __name__ == '__main__':
    if '--work' in sys.argv[1:2]:
        work(json.loads(sys.argv[2]))
    try:
        print(json.dumps(measure(parse_args())))
    except common.MeasurementError as error:
        sys.exit(f'Error: {error}')
