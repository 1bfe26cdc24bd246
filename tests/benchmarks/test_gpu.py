"""benchmarks.gpu: a failing part does not stop the others, time limits hold, all runs on a CPU."""
import argparse
import importlib.util
import json
import math
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import (
    gpu,
    gpu_export,
    gpu_numbers,
    gpu_parts,
    gpu_runs,
    gpu_speed,
    gpu_table,
    peer_torch_step,
)
from benchmarks.gpu_speed import Peer, Variant
from benchmarks.gpu_tasks import DTYPES, PARTS, STAGES, Plan, Task, make_plan
from tests.support.golden import ROOT, load_npz

CHILD = f'''
import os, sys, time
sys.path.insert(0, {str(ROOT)!r})
from benchmarks.gpu_parts import serve
count = 0
def good(task):
    global count
    count += 1
    yield dict(sec_per_kimg=task['value'], count=count)
def raises(task):
    yield dict(value=1)
    raise ValueError('no such\\nthing')
def crashes(task):
    print('the driver is gone', file=sys.stderr, flush=True)
    os.abort()
def hangs(task):
    yield dict(value=2)
    time.sleep(60)
def known(task):
    yield task['known']
serve(dict(speed=good, half=raises, random=crashes, golden=hangs, peer=known),
      [*sys.argv[1:], '--no_tensorflow'])
'''


@pytest.fixture
def start_run(tmp_path):
    """Function of minutes: a `gpu.Run` of a child without TensorFlow, and the list it fills."""
    script, runs = tmp_path / 'child.py', []
    script.write_text(CHILD)

    def start(minutes=1.0):
        lines = []
        runs.append(gpu.Run(minutes, 'cpu', lines.append, [sys.executable, str(script)]))
        runs[-1].grace, runs[-1].start_sec = 0, 2
        return runs[-1], lines
    yield start
    for run in runs:
        run.stop()


def task(part, name='', needs=0.1, setting=(), **options):
    return Task(part, name, setting, needs, options)


def main(*argv, capsys):
    """Run the command in this process. Returns its exit code and what it printed as lines."""
    code = gpu.main([str(part) for part in argv])
    printed = capsys.readouterr()
    return code, [json.loads(line) for line in printed.out.splitlines() if line[0] == '{'], printed


# ---------------------------------------------------------------- parts and time

@pytest.mark.slow
def test_parts_that_fail_are_lines_and_the_others_go_on(start_run):
    run, lines = start_run()
    parts = [task('speed', 'a', value=1), task('half', 'b'), task('speed', 'c', value=3),
             task('random', 'd'), task('speed', 'e', value=5)]
    run.do_all(Plan(parts, [], [], []), 0.0)
    run.finish()
    assert [(line['part'], line.get('error'), line.get('count')) for line in lines[:-1]] == [
        ('speed', None, 1), ('half', None, None), ('half', 'ValueError: no such thing', None),
        ('speed', None, 1), ('random', lines[4]['error'], None), ('speed', None, 1)]
    assert 'ended with code -6' in lines[4]['error'] and 'driver is gone' in lines[4]['stderr']
    assert 'in raises' in lines[2]['stderr'] and lines[2]['stderr'].count('Traceback') == 1
    assert lines[-1]['part'] == 'end' and lines[-1]['failed'] == ['half b', 'random d']
    times = [line['seconds'] for line in lines]
    assert times == sorted(times) and times[0] > 0


@pytest.mark.slow
def test_a_part_that_hangs_is_stopped(start_run):
    run, lines = start_run()
    run.do_all(Plan([task('golden', 'a'), task('speed', 'b', value=1)], [], [], []), 0.0)
    assert [line.get('error', '')[:14] for line in lines] == ['', 'took more than', '']
    assert lines[1]['seconds'] < 20


def test_a_child_ends_with_its_parent(start_run, tmp_path):
    """Even if the parent is killed while the child is at work."""
    code = (f'import sys\nfrom benchmarks.gpu import Child\nchild = Child([sys.executable, '
            f'{str(tmp_path / "child.py")!r}], {{}})\nnext(child.do(dict(part="golden"), 60))\n'
            'print(child.process.pid, flush=True)\ninput()')
    parent = subprocess.Popen([sys.executable, '-c', code], cwd=ROOT, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    end = time.monotonic() + 20
    while is_running(child) and time.monotonic() < end:
        time.sleep(0.1)
    assert not is_running(child)


def is_running(pid):
    """Whether a process exists and is no zombie."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def test_tasks_of_one_setting_share_a_process(start_run):
    run, lines = start_run()
    settings = ['--no_tensorflow'], ['--tf32']
    run.do_all(Plan([task('speed', str(i), value=i, setting=settings[i // 2]) for i in range(4)],
                    [], [], []), 0.0)
    assert [line['count'] for line in lines] == [1, 2, 1, 2]


def test_a_task_is_told_the_speeds_before_it(start_run):
    run, lines = start_run()
    run.do_all(Plan([task('speed', 'a', value=3), task('peer')], [], [], []), 0.0)
    assert lines[1]['a'] == 3


def test_what_does_not_fit_is_skipped_and_named(start_run):
    run, lines = start_run(0.5)
    many = [task('speed', f'long {i}', needs=99, value=1) for i in range(20)]
    run.do_all(Plan([task('speed', 'a', value=1), *many, task('half', 'b', needs=99)], [], [], []),
               0.0)
    run.finish()
    assert [line['part'] for line in lines] == ['speed', 'end'] and not lines[-1]['failed']
    assert lines[-1]['number_skipped'] == {'speed': 20, 'half': 1}
    assert lines[-1]['skipped'] == {'speed': [f'long {i}' for i in range(gpu.NAMED)], 'half': ['b']}


@pytest.mark.slow
def test_a_task_that_the_end_cuts_counts_as_skipped(start_run):
    run, lines = start_run(0.08)
    run.grace = 60
    run.do_all(Plan([task('golden', 'a')], [], [], []), 0.0)
    run.finish()
    assert [line['part'] for line in lines] == ['golden', 'end']
    assert lines[-1]['skipped'] == {'golden': ['a']} and not lines[-1]['failed']


def test_more_speed_leaves_time_to_the_parts_after_it(start_run):
    """45 seconds of a minute are reserved, so a task of 20 waits until the others are done."""
    run, lines = start_run()
    named = lambda name, needs=0.1: task('speed', name, needs, value=1)
    run.do_all(Plan([named('first')], [named('long', 20), named('short')], [named('last')],
                    [named('rest')]), 45.0)
    assert [line['name'] for line in lines] == ['first', 'short', 'last', 'long', 'rest']


# ---------------------------------------------------------------- what is done

def test_the_most_important_comes_first():
    first, then, rest = gpu_speed.ordered_variants(STAGES, DTYPES)
    main_two = [Variant(1024, 'bfloat16'), Variant(1024, 'float32')]
    assert first == [*main_two, *map(Peer, main_two)]
    assert then[:3] == [*(variant._replace(xla=True) for variant in main_two),
                        Variant(1024, 'tf32')]
    everything = [what for what in [*first, *then, *rest] if isinstance(what, Variant)]
    # Under XLA two kernels, without it two of each of kernels, layout and fusion. Twice augmented.
    assert len(everything) == len(set(everything)) == 5 * 4 * (2 + 8) + 2
    assert len({what.name for what in everything}) == len(everything)


@pytest.mark.parametrize('tf32', [False, True])
def test_the_first_variants_are_what_the_program_does(tf32):
    """Default kernels and layout, regardless of earlier measurements in the process."""
    import tfutil
    from pgan.nn import fused_convolutions
    own = fused_convolutions.kernels_hold_the_box
    try:
        tfutil.init_tf({'tf32': tf32})
        layout = tf.config.optimizer.get_experimental_options()['layout_optimizer']
        variant = Variant(4, 'tf32' if tf32 else 'float32')
        gpu_speed.use_kernels('4x4')
        gpu_speed.use_layout(variant.dtype, other=True)
        changed = tf.config.optimizer.get_experimental_options()['layout_optimizer']
        assert fused_convolutions.kernels_hold_the_box() and changed != layout
        gpu_speed.use_kernels(variant.kernels)
        gpu_speed.use_layout(variant.dtype, variant.other_layout)
        assert fused_convolutions.kernels_hold_the_box() == own()
        assert tf.config.optimizer.get_experimental_options()['layout_optimizer'] == layout
    finally:
        fused_convolutions.kernels_hold_the_box = own
        tfutil.init_tf()


def test_minibatches_are_the_official_ones():
    assert [Variant(stage, 'float32').minibatch for stage in STAGES] == [128, 64, 16, 4, 4]
    assert [Variant(stage, 'float16').minibatch for stage in STAGES] == [128, 64, 16, 8, 8]


def test_the_plan_of_a_gpu():
    plan = make_plan(gpu.parse_args([]))
    assert [task.part for task in plan.first[:2]] == ['machine', 'golden']
    tasks = [*plan.first, *plan.then, *plan.last, *plan.rest]
    assert list(dict.fromkeys(task.part for task in tasks)) == list(PARTS)
    for task_ in tasks:
        dtype = task_.options.get('variant', task_.options).get('dtype')
        if task_.part in ('speed', 'golden'):
            assert (task_.setting == ('--tf32',)) == (dtype == 'tf32')
        if task_.part in ('peer', 'determinism'):
            assert task_.setting == ('--no_tensorflow',)
    assert sum(task_.needs for task_ in plan.first) < 0.6 * 540
    only = make_plan(gpu.parse_args(['--only=random,half']))
    assert {task_.part for tasks in only for task_ in tasks} == {'machine', 'random', 'half'}


def test_unknown_parts_stages_and_types_are_refused(capsys):
    for argv, text in ((['--only=speed,nonesuch'], 'nonesuch'), (['--stages=48'], '48'),
                       (['--dtypes=int8'], 'int8')):
        with pytest.raises(SystemExit):
            gpu.parse_args(argv)
        assert f'unknown {text if text.isdigit() else repr(text)}' in capsys.readouterr().err


def test_a_machine_without_a_gpu(monkeypatch, capsys):
    monkeypatch.setattr(gpu, 'nvidia_smi', lambda: None)
    code, lines, printed = main(capsys=capsys)
    assert code == 1 and not lines
    assert 'no NVIDIA GPU' in printed.err and '--device cpu' in printed.err


@pytest.mark.slow
def test_a_gpu_that_tensorflow_does_not_find(monkeypatch, capsys, tmp_path):
    card = dict(name='H100', driver_version='1')
    monkeypatch.setattr(gpu, 'nvidia_smi', lambda: card)
    code, lines, printed = main('--only=machine', '--out', tmp_path / 'x.jsonl', capsys=capsys)
    assert code == 1 and [line['part'] for line in lines] == ['start', 'machine', 'end']
    assert lines[0]['nvidia_smi'] == card and {line['device'] for line in lines} == {'H100'}
    assert 'finds no GPU' in lines[1]['error'] and 'finds no GPU' in printed.err


def test_results_of_a_day_do_not_replace_each_other(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, 'ROOT', tmp_path)
    first = gpu.results_path('NVIDIA H100 80GB HBM3')
    assert first.name.endswith('-gpu-NVIDIA-H100-80GB-HBM3.jsonl')
    first.parent.mkdir(parents=True)
    first.touch()
    assert gpu.results_path('NVIDIA H100 80GB HBM3').name == f'{first.stem}-2.jsonl'


# ---------------------------------------------------------------- numbers

def test_errors_in_short_by_hand():
    errors = [(0.5, 1.0, 2.0), (3.0, 1.0, 4.0), (math.nan, 1.0, 1.0), (0.0, 1.0, 0.0)]
    assert gpu_numbers.in_short(errors, dict(dtype='float32')) == dict(
        outputs=4, nonfinite=1, worst_relative=0.75, median_relative=0.5, out_of_tolerance=2,
        worst=3.0)
    assert 'worst' not in gpu_numbers.in_short(errors, dict(dtype='bfloat16'))


def test_golden_sees_a_wrong_network(monkeypatch):
    """The weights of one layer are off by 1 %: all outputs are out of tolerance."""
    case = json.loads((gpu_numbers.GOLDEN / 'networks.json').read_text())['cases']['G-res4']
    wanted = dict(dtype='float32', kernels='3x3', fuse=False, cases=None)
    summary = lambda: gpu_numbers.in_short(
        list(gpu_numbers.network_errors('G-res4', case, wanted)), wanted)
    assert summary()['out_of_tolerance'] == 0 < summary()['outputs']
    data = load_npz('networks-G-res4.npz')
    data['var/4x4/Conv/weight'] = data['var/4x4/Conv/weight'] * 1.01
    monkeypatch.setattr(gpu_numbers, 'load_golden', lambda name: data)
    assert summary()['out_of_tolerance'] == summary()['outputs'] and summary()['worst'] > 10


def test_random_bits_that_differ_are_seen(monkeypatch):
    draws = iter([(np.arange(4), np.zeros(3)), (np.arange(4), np.full(3, 1e-7)),
                  (np.array([0, 1, 2, 4]), np.zeros(3))])
    monkeypatch.setattr(gpu_numbers, '_draws', lambda device, compiled: next(draws))
    (found,) = gpu_numbers.random(dict(device='cpu'))
    assert found['bits_equal'] and not found['xla_bits_equal'] and found['normal_error'] == 1e-7


def test_weights_that_differ_in_a_bit():
    a = np.array([1.0, 0.0, 3.0, 4.0], np.float32)
    assert gpu_runs._difference(a, a.copy())['equal']
    assert gpu_runs._difference(a, a * np.float32(1 + 1e-7))['different'] > 0
    negative = gpu_runs._difference(a, np.array([1.0, -0.0, 3.0, 4.0], np.float32))
    assert not negative['equal'] and negative['different'] == 0.25 and negative['largest'] == 0


def test_a_run_that_fails_is_told(tmp_path):
    folders = {'first': tmp_path}
    with pytest.raises(gpu_runs.MeasurementError, match='first.*nonesuch.py'):
        gpu_runs._train({'first': ['--config', 'nonesuch.py']}, folders)


def test_groups_of_steps():
    """The number of steps in a group follows their speed; seconds are per thousand images."""
    counts = []
    found = gpu_speed.time_groups(counts.append, minibatch=10, seconds=0.0, least=4)
    assert counts[:2] == [2, 3] and len(found) == 4 and set(counts[2:]) == {1}


def test_the_peer_is_compared_with_the_same_variant(monkeypatch):
    called = []

    def run_child(command, timeout):
        called.append((command, timeout))
        return [dict(sec_per_kimg=2.0)]
    monkeypatch.setattr(gpu_speed, 'run_child', run_child)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: object())
    plan = make_plan(gpu.parse_args(['--only=peer']))
    eager, compiled = plan.first[-1], plan.then[0]
    known = {'1024 float32': 6.0, '1024 bfloat16': 1.0}
    results = [next(gpu_speed.peer(dict(chosen.options, device='gpu', known=known, limit_s=50)))
               for chosen in (eager, compiled)]
    assert results[0] == dict(sec_per_kimg=2.0, beside='1024 float32', ratio=3.0)
    assert results[1]['beside'] == '1024 bfloat16 xla' and results[1]['ratio'] is None
    command, timeout = called[0]
    assert command[0] == 'benchmarks.peer_torch_step' and '--no-compile' in command
    assert {'--resolution=1024', '--minibatch=4', '--dtype=float32', '--device=cuda',
            '--fmap_base=8192', '--fmap_max=512'} <= set(command)
    for command, _ in called:
        peer_torch_step.parse_args(command[1:])  # exits if an option is unknown
    assert '--compile' in called[1][0] and '--minibatch=8' in called[1][0] and timeout == 45


def test_an_unexplained_shortage_is_told(monkeypatch):
    def use_up(task, now):
        raise RuntimeError('something else')
    monkeypatch.setattr(gpu_parts, '_use_up_memory', use_up)
    asked = dict(resolution=4, width={}, minibatch=4, host_gb=0, memory_mb=None, device='cpu')
    (found,) = gpu_parts.shortage(asked)
    assert found['raised'] == 'RuntimeError' and not found['explained']


# ---------------------------------------------------------------- whole runs

# Resumed runs and half precision have separate tests; these parts take a minute and a half.
GROUPS = [('random', 'augment'), ('generate', 'shortage', 'speed', 'peer', 'pipeline')]


@pytest.mark.first(1, rest='exhaustive')
@pytest.mark.slow
@pytest.mark.parametrize('parts', GROUPS, ids=lambda parts: parts[0])
def test_a_whole_run_on_the_cpu(parts, tmp_path, capsys, monkeypatch):
    # each change of the step alone, not all combinations of them
    monkeypatch.setattr(gpu_speed, '_product', lambda stages, dtypes: [])
    code, lines, printed = main(
        '--device=cpu', f'--only={",".join(parts)}', '--minutes=3',
        '--out', tmp_path / 'x.jsonl', capsys=capsys)
    assert [line for line in lines if 'error' in line] == [] and code == 0, printed
    assert [json.loads(line) for line in (tmp_path / 'x.jsonl').read_text().splitlines()] == lines
    assert [lines[0]['part'], lines[-1]['part']] == ['start', 'end'] and lines[0]['commit']
    assert {line['part'] for line in lines} == {'start', 'machine', *parts, 'end'}
    found = {part: [line for line in lines if line['part'] == part] for part in PARTS}
    for check in found['golden'][:5]:
        for what in ('networks', 'losses', 'gradients'):
            assert check[what]['out_of_tolerance'] == 0 < check[what]['outputs']
    assert all(line['bits_equal'] and line['xla_bits_equal'] and line['normal_error'] < 1e-6
               and line['xla_normal_error'] < 1e-6 for line in found['random'])
    assert all(line['distinct'] == 1 for line in found['augment'])
    assert all(line['sec_per_kimg'] > 0 and line['compile_sec'] > 0 for line in found['speed'])
    for line in found['pipeline'][:1]:
        ours = next(speed['sec_per_kimg'] for speed in found['speed'])
        assert line['share']['4 float32'] == pytest.approx(line['sec_per_kimg'] / ours, rel=0.01)
    assert [line['equal'] for line in found['determinism'][:2]] == [True] * len(
        found['determinism'][:2])
    for line in found['half']:
        is16 = line['dtype'] == 'float16'  # the scale of 2^64 is too large for the first steps
        assert line['D_overflow'] == [float(is16)] * 2 and line['nonfinite'] == 0
        assert line['D_scale'] == (60 if is16 else None)
    assert all(line['explained'] and line['raised'] == 'ResourceExhaustedError'
               for line in found['shortage'][:1])
    assert gpu_table.table(tmp_path / 'x.jsonl').startswith('# CPU')


# ---------------------------------------------------------------- the table

def test_table(tmp_path, capsys):
    path = tmp_path / 'x.jsonl'
    lines = [
        dict(part='start', device='H100', nvidia_smi=dict(driver_version='580.1'),
             tensorflow='2.21.0'),
        dict(part='speed', name='1024 bfloat16', sec_per_kimg=11.5, minibatch=8, dtype='bfloat16'),
        dict(part='golden', name='tf32 4x4', networks=dict(outputs=3, worst=0.2), seconds=3.0),
        dict(part='speed', name='4 float32', sec_per_kimg=0.1, minibatch=128, peak_mb=None),
        dict(part='half', name='float16 4', error='ValueError: no'),
        dict(part='end', skipped={'speed': ['a', 'b']}, number_skipped={'speed': 30}, failed=[])]
    path.write_text('\n'.join(map(json.dumps, lines[:-1])))
    assert gpu_table.table(path).endswith('The run was cut short.')
    path.write_text('\n'.join(map(json.dumps, lines)))
    assert gpu.main(['--table', str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        '# H100', '', 'driver 580.1, TensorFlow 2.21.0', '', '## speed', '',
        '|  | minibatch | sec_per_kimg | peak_mb |', '| --- | --- | --- | --- |',
        '| 1024 bfloat16 | 8 | 11.5 |  |', '| 4 float32 | 128 | 0.1 |  |', '', '## golden', '',
        '|  | networks.outputs | networks.worst |', '| --- | --- | --- |', '| tf32 4x4 | 3 | 0.2 |',
        '', '## Errors', '', '* half float16 4: ValueError: no', '', 'No time was left for:', '',
        '* speed: a, b, and 28 more']


# ---------------------------------------------------------------- exported gradients

@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """A folder of exported gradients whose weights are stored as seeds."""
    folder = tmp_path_factory.mktemp('exported')
    code = ('from benchmarks import gpu, gpu_export\ngpu_export.SAMPLE = 100\n'
            f'gpu.main(["--device=cpu", "--stages=8", "--export", {str(folder)!r}])')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_exported_inputs_are_those_of_the_text(exported):
    """Each parameter of the text has an input of its shape; the large ones are seeds."""
    import gzip
    import re
    names = sorted(path.name for path in exported.iterdir())
    assert names == [f'{which}-8-float32-3x3.{end}' for which in 'DG'
                     for end in ('npz', 'stablehlo.gz')]
    for which in 'DG':
        with np.load(exported / f'{which}-8-float32-3x3.npz') as data:
            contents = dict(data)
        given = [value for name, value in contents.items() if name.startswith('in')]
        assert sum(value.dtype.kind == 'U' for value in given) > 2
        arrays = [gpu_export.array_of(value) for value in given]
        text = gzip.open(exported / f'{which}-8-float32-3x3.stablehlo.gz', 'rt').read()
        (main_line,) = re.findall(r'func\.func @main\((.*?)\) -> ', text)
        shapes = [[int(size) for size in shape.split('x')[:-1]]
                  for shape in re.findall(r'tensor<([^>]+)>', main_line)]
        assert shapes == [list(array.shape) for array in arrays if array.size]


@pytest.mark.skipif(importlib.util.find_spec('jax') is None, reason='JAX is not installed')
def test_jax_gives_the_expected_outputs(exported, capsys):
    code, lines, _ = main('--run-exported', exported, capsys=capsys)
    assert code == 0 and [line['which'] for line in lines] == ['D', 'G']
    for line in lines:
        assert line['worst_relative'] < 1e-4 and line['nonfinite'] == 0 and line['outputs'] > 5
        assert line['sec_per_step'] > 0 and line['compile_sec'] > 0


def test_running_without_jax_or_files(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, 'jax', None)
    code, _, printed = main('--run-exported', tmp_path, capsys=capsys)
    assert code == 1 and 'JAX is not installed' in printed.err
    fake = types.SimpleNamespace(config=argparse.Namespace(update=lambda *_: None))
    monkeypatch.setitem(sys.modules, 'jax', fake)
    code, _, printed = main('--run-exported', tmp_path, capsys=capsys)
    assert code == 1 and 'has no exported functions' in printed.err


def test_outputs_are_compared_by_their_largest_value():
    expected = [np.array([1.0, 4.0]), np.array([2.0])]
    found = gpu_export.compare([np.array([1.0, 3.0]), np.array([2.0])], expected)
    assert found == dict(outputs=2, nonfinite=0, worst_relative=0.25, median_relative=0.25)
    broken = gpu_export.compare([np.array([1.0, 4.0]), np.array([np.nan])], expected)
    assert broken['nonfinite'] == 1
    with pytest.raises(ValueError, match='expected 2 outputs'):
        gpu_export.compare([np.array([1.0, 4.0])], expected)


def test_seeded_arrays_repeat():
    first, again, other = (gpu_export.seeded_array(seed, [50, 3], 'float32') for seed in (1, 1, 2))
    assert first.dtype == np.float32 and (first == again).all() and (first != other).all()
    given = np.array(json.dumps(dict(seed=1, shape=[50, 3], dtype='float32')))
    assert (gpu_export.array_of(given) == first).all()
    assert gpu_export.seeded_array(0, [9], 'uint8').dtype == np.uint8
