"""What the benchmarks share: child processes, turns, the machine's state, and how numbers are made
from repeated timings.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Parser(argparse.ArgumentParser):
    """An argparse parser whose name and texts hold commands as they work here."""

    def __init__(self, *args, **kwargs):
        from pgan.invocation import as_typed  # not above: `compare` works on other checkouts, too
        texts = ('prog', 'description', 'epilog')
        super().__init__(*args, **{name: as_typed(value) if name in texts and value else value
                                   for name, value in kwargs.items()})


class MeasurementError(Exception):
    """A child process ended without a result; the text says which, and the end of what it
    printed.
    """


# ---------------------------------------------------------------- child processes

def run_child(command, timeout=3600, environ=None):
    """Run a command to its end; return the JSON objects that it printed, one a line.

    Args:
        command: list: 'benchmarks.x' and its arguments, run by this Python; or, if it begins with a
            path, any program.
        timeout: seconds after which it is stopped.
        environ: environment variables on top of this process's.

    Raises:
        MeasurementError: it failed, took too long, or printed no result.
    """
    command = _command(command)
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(environ or {})},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, start_new_session=True) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            _stop(process)
            raise MeasurementError(f'{_name(command)} took more than {timeout:g} s.') from error
        except BaseException:
            _stop(process)
            raise
    results = [json.loads(line) for line in output.splitlines() if line.startswith('{')]
    if process.returncode or not results:
        raise MeasurementError(f'{_name(command)} ended with code {process.returncode}: '
                               f'{_end_of(errors or output)}')
    return results


def _stop(process, patience=10):
    """End a child and what it has started: as by Ctrl-C, so that they clean up, and if that takes
    long, at once.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=patience)
        os.killpg(process.pid, signal.SIGKILL)


def _name(command):
    return ' '.join(command[1:])[:300]


def _command(command):
    command = [str(part) for part in command]
    return [sys.executable, '-m', *command] if command[0].startswith('benchmarks.') else command


def _end_of(text, length=600):
    return text.strip()[-length:] or 'it printed nothing'


def as_options(values):
    """A dict as command line options: {'lod': 1.5} to ['--lod=1.5']; None leaves one out."""
    return [f'--{name}={value}' for name, value in values.items() if value is not None]


class Worker:
    """A child process that works in turns: it prints one JSON line when it is ready, and one for
    each line that it is sent.

    Use as a context: the process is stopped at the end. `serve` is the other side.

    Args:
        command: as for `run_child`.
        environ, cwd: its environment variables on top of this process's, and its folder (None: the
            repository).
    """

    def __init__(self, command, environ=None, cwd=None):
        self.command = _command(command)
        self.process = subprocess.Popen(self.command, cwd=cwd or ROOT,
                                        env={**os.environ, **(environ or {})},
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()  # TensorFlow's teardown takes longer than a short measurement
        self.process.communicate()

    def ask(self, question='turn'):
        """Send a line; return the answer."""
        try:
            self.process.stdin.write(question + '\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # the answer tells
        return self.answer()

    def answer(self):
        """The next JSON object that it prints.

        Raises:
            MeasurementError: it ended instead; what it said is on stderr.
        """
        line = self.process.stdout.readline()
        if not line:
            raise MeasurementError(f'{_name(self.command)} ended with code {self.process.wait()}; '
                                   'see above.')
        return json.loads(line)


def serve(answer, **ready):
    """A worker's side: say that it is ready, and then, for each line that comes in, print
    answer(line) as JSON.

    Call `only_results_on_stdout` before anything prints.
    """
    print(json.dumps(ready), file=_results, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), file=_results, flush=True)
    os._exit(0)


def only_results_on_stdout():
    """Send whatever libraries print to stderr; `serve` has stdout for itself."""
    global _results
    _results = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)


_results = sys.stdout


# ---------------------------------------------------------------- timing

def take_turns(players, turns, seconds=None):
    """Let functions work in turns, so that whatever else the machine does falls on all of them.

    Args:
        players: {name: function without arguments that returns what it did in its turn}.
        turns: turns of each that count, after one to warm up.
        seconds: go on until so many have passed, if that is later.

    Returns:
        {name: [turns or more]}
    """
    results, start, number = {name: [] for name in players}, time.perf_counter(), 0
    while number <= turns or (seconds is not None and time.perf_counter() - start < seconds):
        for name in list(players)[::1 if number % 2 else -1]:  # none is always the first
            results[name].append(players[name]())
        number += 1
    return {name: values[1:] for name, values in results.items()}


def timed(function):
    """Seconds that a function takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def pair_ratios(after, before):
    """How two lists of seconds that were taken in turns compare: after / before, pair by pair.

    Returns:
        dict of ratio (the median), lower and upper (quartiles), of_fastest, pairs.
    """
    ratios = sorted(b / a for a, b in zip(before, after))
    lower, _, upper = statistics.quantiles(ratios, n=4,
                                           method='inclusive') if len(ratios) > 1 else ratios * 3
    return dict(ratio=significant(statistics.median(ratios)), lower=significant(lower),
                upper=significant(upper), of_fastest=significant(min(after) / min(before)),
                pairs=len(ratios))


def significant(value, digits=4):
    """A number rounded to so many digits, as results are written."""
    return float(f'{value:.{digits}g}')


# ---------------------------------------------------------------- the machine

def read_rows(path):
    """The rows of a .jsonl file: a list of dicts, [] without a file."""
    if not os.path.isfile(path):
        return []
    with open(path, encoding='utf-8') as file:
        return [json.loads(line) for line in file]


def add_row(path, row):
    """Add a row to a .jsonl file; a run that is killed meanwhile leaves whole lines."""
    from pgan.files import atomic_append, to_json
    atomic_append(path, to_json(row) + '\n')


def generate(Gs, latents):
    """Images of Gs, uint8 [N, C, R, R]."""
    import numpy as np
    return Gs.run(latents, out_mul=127.5, out_add=127.5, out_dtype=np.uint8)


def peak_mb():
    """Peak memory of this process in MB. (getrusage would count what the parent process had in use
    when it started this one.)
    """
    with contextlib.suppress(OSError), open('/proc/self/status') as file:
        return int(re.search(r'VmHWM:\s*(\d+) kB', file.read())[1]) >> 10
    import resource
    return resource.getrusage(
        resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == 'darwin' else 10)


def load():
    """Processes that want to run, on average over the last minute; None where that is not known."""
    with contextlib.suppress(OSError, AttributeError):
        return round(os.getloadavg()[0], 2)


def describe_machine():
    """What results depend on: processor, cores, memory, versions."""
    import importlib.metadata
    facts = dict(
        processor=platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(),
        system=platform.system(), python=platform.python_version())
    with contextlib.suppress(OSError, AttributeError, IndexError):
        facts['processor'] = re.search(r'model name\s*:\s*(.*)',
                                       pathlib.Path('/proc/cpuinfo').read_text())[1]
        facts['memory_gb'] = round(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30)
    for name in ('tensorflow', 'keras', 'numpy'):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            facts[name] = importlib.metadata.version(name)
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        facts['commit'] = subprocess.run(['git', 'describe', '--always', '--dirty'], cwd=ROOT,
                                         check=True, capture_output=True, text=True).stdout.strip()
    return facts


def now():
    return datetime.datetime.now().isoformat(timespec='seconds')
