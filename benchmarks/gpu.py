"""Correctness and speed on an NVIDIA GPU, in one run: python -m benchmarks.gpu -h

    python -m benchmarks.gpu                            # 9 minutes, the most important first
    python -m benchmarks.gpu --only machine,speed --minutes 4
    python -m benchmarks.gpu --device cpu               # a tiny test run on the CPU
    python -m benchmarks.gpu --table FILE.jsonl         # the results of a run as Markdown
    python -m benchmarks.gpu --export FOLDER            # compiled gradients of steps, for JAX
    python -m benchmarks.gpu --run-exported FOLDER      # needs JAX, and no TensorFlow

Each result is a JSON line on stdout and in benchmarks/results/DATE-gpu-CARD.jsonl, written
immediately, so an interrupted run keeps its results. The last line lists the skipped tasks.
TensorFlow runs in child processes. If one crashes or times out, its line has an error.
"""
import argparse
import contextlib
import datetime
import itertools
import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from benchmarks import gpu_export, gpu_table, gpu_tasks
from benchmarks.common import ROOT, Parser, describe_machine
from benchmarks.gpu_parts import nvidia_smi

START_SEC = 12  # until TensorFlow runs on a GPU
PATIENCE_SEC = 4  # after Ctrl-C, until a child is killed
CHILD = (sys.executable, '-m', 'benchmarks.gpu_parts')
NAMED = 12  # skipped tasks per part that the last line lists


def parse_args(argv=None):
    parser = Parser(prog='python -m benchmarks.gpu', description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=9.0, help='of the whole run (default: 9)')
    parser.add_argument('--only', metavar='PART,...', type=lambda text: text.split(','),
                        default=gpu_tasks.PARTS, help='of ' + ', '.join(gpu_tasks.PARTS))
    parser.add_argument('--device', choices=('gpu', 'cpu'), default='gpu',
                        help="'cpu': a tiny test run on the CPU")
    parser.add_argument('--out', type=pathlib.Path, metavar='FILE', help='of the results')
    parser.add_argument('--table', type=pathlib.Path, metavar='FILE',
                        help='print the Markdown table of a finished run')
    parser.add_argument('--export', type=pathlib.Path, metavar='FOLDER',
                        help='write the compiled D and G gradients as StableHLO, with arguments '
                             'and expected outputs; needs no GPU')
    parser.add_argument('--run-exported', type=pathlib.Path, metavar='FOLDER',
                        help='run them with JAX, compare and time them')
    numbers = lambda text: [int(number) for number in text.split(',')]
    parser.add_argument('--stages', type=numbers, metavar='R,...',
                        help='resolutions to measure or export (default: 4,32,128,512,1024)')
    parser.add_argument('--dtypes', type=lambda text: text.split(','), metavar='DTYPE,...',
                        help='to measure (default: bfloat16,float32,tf32,float16) or to export '
                             '(default: float32)')
    parser.add_argument('--kernels', choices=('3x3', '4x4'), default='3x3', help='to export')
    args = parser.parse_args(argv)
    for given, known, option in ((args.only, gpu_tasks.PARTS, 'only'),
                                 (args.stages or (), gpu_tasks.RESOLUTIONS, 'stages'),
                                 (args.dtypes or (), gpu_tasks.DTYPES, 'dtypes')):
        unknown = [name for name in given if name not in known]
        if unknown:
            parser.error(f'--{option}: unknown {unknown[0]!r}. Known: '
                         f'{", ".join(map(str, known))}.')
    return args


# ---------------------------------------------------------------- child processes

class PartFailed(Exception):
    """A task failed; the message gives the reason.

    Attributes:
        stderr: end of the process's output there.
    """

    def __init__(self, text, stderr=''):
        super().__init__(text)
        self.stderr = stderr


class OutOfTime(PartFailed):
    """A task took too long."""


class Child:
    """A process that runs tasks: `benchmarks.gpu_parts`.

    Args:
        command: the program and its arguments.
        environ: environment variables on top of this process's.
    """

    def __init__(self, command, environ):
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **environ}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.stderr, text=True, start_new_session=True)
        self._lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def do(self, task, limit):
        """Run a task; yield its results as they arrive.

        Raises:
            PartFailed: the task raised an error, or the process ended.
            OutOfTime: `limit` seconds have passed.
        """
        end = time.monotonic() + limit
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(task) + '\n')
            self.process.stdin.flush()
        while True:
            try:
                line = self._lines.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                raise OutOfTime(f'took more than {limit:.0f} s', self._said()) from None
            if line is None:
                code = self.process.wait()
                raise PartFailed(f'its process ended with code {code}', self._said())
            result = json.loads(line)
            if 'failed' in result:
                raise PartFailed(result['failed'], self._said())
            if 'done' in result:
                return
            yield result

    def _said(self, length=500):
        """End of the process's stderr."""
        file = self.stderr.fileno()  # shares its position with the child, so do not move it
        start = max(os.fstat(file).st_size - 4 * length, 0)
        return os.pread(file, 4 * length, start).decode(errors='replace').strip()[-length:]

    def stop(self, gently=False):
        """End the process and its children. `gently`: let it stop its children itself."""
        with contextlib.suppress(ProcessLookupError):
            if gently:
                os.killpg(self.process.pid, signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(PATIENCE_SEC)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.stderr.close()


# ---------------------------------------------------------------- the run

class Run:
    """A run: does tasks until the time is over, and writes their results.

    Args:
        minutes: of the whole run.
        device: 'gpu' or 'cpu'.
        write: function of a result, a dict.
        command: of the child process.
    """

    def __init__(self, minutes, device, write, command=CHILD):
        self.start, self.seconds = time.monotonic(), minutes * 60
        self.device, self._write = device, write
        self.command, self._child, self._setting = list(command), None, None
        self.known = {}  # name of a speed measurement -> sec/kimg
        self.failed, self.skipped, self.errors = [], [], []
        self.start_sec, self.grace = (START_SEC, 15) if device == 'gpu' else (3, 90)

    def write(self, **result):
        """Write one result, with the seconds since the start of the run."""
        self._write(dict(result, seconds=round(time.monotonic() - self.start, 1)))

    def left(self):
        """Remaining seconds."""
        return self.start + self.seconds - time.monotonic()

    def do_all(self, plan, kept):
        """Do the tasks of a `gpu_tasks.Plan`; those that do not fit are skipped.

        Args:
            plan: the tasks. Tasks of `plan.then` that do not fit at first come after `plan.last`.
            kept: seconds reserved for `plan.last`.
        """
        for task in plan.first:
            self.do_or_skip(task)
        later = []
        for task in plan.then:
            if self.left() - kept < self._needed(task):
                later.append(task)
            else:
                self.do_or_skip(task)
        for task in [*plan.last, *later, *plan.rest]:
            self.do_or_skip(task)

    def _needed(self, task):
        return task.needs + (0 if self._setting == task.setting else self.start_sec)

    def do_or_skip(self, task):
        """Do a task if it fits, and write its error if it fails.

        A task that is interrupted by the end of the run counts as skipped.
        """
        if self.left() < self._needed(task):
            self.skipped.append(task)
            return
        try:
            self._do(task)
        except PartFailed as error:
            self.stop(gently=True)
            if isinstance(error, OutOfTime) and self.left() <= 1:
                self.skipped.append(task)
                return
            self.failed.append(task)
            self.errors.append(str(error))
            self.write(part=task.part, name=task.name, error=str(error), stderr=error.stderr)

    def _do(self, task):
        """Do a task in the child of its setting. Raises PartFailed."""
        needed = self._needed(task)
        if self._setting != task.setting or self._child is None:
            self.stop()
            self._setting = task.setting
            self._child = Child([*self.command, f'--device={self.device}', *task.setting],
                                environment(self.device))
        limit = min(self.left(), 2.5 * needed + self.grace)
        message = dict(task.options, part=task.part, device=self.device, known=self.known,
                       limit_s=limit - PATIENCE_SEC)
        for result in self._child.do(message, limit):
            self.write(part=task.part, name=task.name, **result)
            if task.part == 'speed':
                self.known[task.name] = result['sec_per_kimg']

    def stop(self, gently=False):
        """End the child, if there is one."""
        if self._child is not None:
            self._child.stop(gently)
        self._child = self._setting = None

    def finish(self):
        """Write the last line: failed tasks, and skipped tasks by part."""
        skipped = {part: [task.name for task in tasks] for part, tasks in itertools.groupby(
            sorted(self.skipped, key=lambda task: gpu_tasks.PARTS.index(task.part)),
            key=lambda task: task.part)}
        self.write(part='end', failed=[f'{task.part} {task.name}' for task in self.failed],
                   skipped={part: names[:NAMED] for part, names in skipped.items()},
                   number_skipped={part: len(names) for part, names in skipped.items()})


def environment(device):
    """Environment variables of the children."""
    common = dict(TF_FORCE_GPU_ALLOW_GROWTH='true', TF_CPP_MIN_LOG_LEVEL='1')
    return dict(common, CUDA_VISIBLE_DEVICES='') if device == 'cpu' else common


def facts(device):
    """First line of a run: card, driver, versions, commit. None without a GPU."""
    card = nvidia_smi() if device == 'gpu' else None
    if device == 'gpu' and card is None:
        return None
    name = card['name'] if card else 'CPU'
    return dict(device=name, nvidia_smi=card, **describe_machine())


def run(args):
    """Measure. Returns the exit code: 1 without a GPU, or if something failed."""
    first = facts(args.device)
    if first is None:
        print('error: nvidia-smi finds no NVIDIA GPU on this machine. Use --device cpu for a test '
              'run on the CPU, with tiny networks.', file=sys.stderr)
        return 1
    path = args.out or results_path(first['device'])
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w') as file:
        def write(result):
            for target in (file, sys.stdout):
                print(json.dumps(dict(result, device=first['device'])), file=target, flush=True)
        run = Run(args.minutes, args.device, write)
        run.write(part='start', minutes=args.minutes, **first)
        plan = gpu_tasks.make_plan(args)
        try:
            run.do_or_skip(plan.first.pop(0))
            if run.failed:  # without a GPU or TensorFlow, the other parts would fail too
                print(f'error: {run.errors[0]} The results are in {path}.', file=sys.stderr)
                return 1
            run.do_all(plan, gpu_tasks.KEPT * run.seconds if plan.last else 0.0)
        finally:
            run.stop()
            run.finish()
    return 1 if run.failed else 0


def results_path(card):
    """Path of new results, with a number if today's name is taken."""
    stem = f'{datetime.date.today()}-gpu-{re.sub("[^A-Za-z0-9]+", "-", card).strip("-")}'
    folder = ROOT / 'benchmarks' / 'results'
    names = itertools.chain([stem], (f'{stem}-{number}' for number in itertools.count(2)))
    return next(path for name in names if not (path := folder / f'{name}.jsonl').exists())


def main(argv=None):
    """Run the command line. Returns the exit code."""
    args = parse_args(argv)
    if args.table:
        print(gpu_table.table(args.table))
        return 0
    if args.export:
        return gpu_export.export(args)
    if args.run_exported:
        return gpu_export.run_exported(args.run_exported)
    return run(args)


if __name__ == '__main__':
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the child is ended too
    sys.exit(main())
