"""Shared helpers of the benchmarks: child processes, alternating turns, timings, machine facts."""
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
    """ArgumentParser whose name and texts show commands as a user must type them here."""

    def __init__(self, *args, **kwargs):
        from pgan.invocation import as_typed  # here: `compare` also runs in other checkouts
        texts = ('prog', 'description', 'epilog')
        super().__init__(*args, **{name: as_typed(value) if name in texts and value else value
                                   for name, value in kwargs.items()})


class MeasurementError(Exception):
    """A child process ended without a result. The message names it and quotes the end of its
    output.
    """


# ---------------------------------------------------------------- child processes

def run_child(command, timeout=3600, environ=None):
    """Run a command to its end and return the JSON objects that it printed, one per line.

    Args:
        command: list: 'benchmarks.x' and its arguments, run by this Python; or, if it begins with a
            path, any program.
        timeout: seconds after which it is stopped.
        environ: environment variables on top of this process's.

    Raises:
        MeasurementError: it failed, timed out, or printed no result.
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
    """Stop a child and its own children.

    They get SIGINT first, so that they clean up, and SIGKILL after `patience` seconds.
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
    """Dict as command line options: {'lod': 1.5} to ['--lod=1.5']; values of None are left out."""
    return [f'--{name}={value}' for name, value in values.items() if value is not None]


class Worker:
    """A child process that works turn by turn.

    It prints one JSON line when it is ready, and one for each line that it receives. `serve` is the
    other side. Use it as a context manager: the process is stopped at the end.

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
            pass  # `answer` reports it
        return self.answer()

    def answer(self):
        """Return the next JSON object that it prints.

        Raises:
            MeasurementError: it ended instead; its error message is on stderr.
        """
        line = self.process.stdout.readline()
        if not line:
            raise MeasurementError(f'{_name(self.command)} ended with code {self.process.wait()}; '
                                   'see above.')
        return json.loads(line)


def serve(answer, **ready):
    """Serve as a `Worker`: print `ready`, then answer(line) as JSON for each input line.

    Call `only_results_on_stdout` before anything prints.
    """
    print(json.dumps(ready), file=_results, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), file=_results, flush=True)
    os._exit(0)


def only_results_on_stdout():
    """Send all output of libraries to stderr and keep stdout for `serve`."""
    global _results
    _results = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)


_results = sys.stdout


# ---------------------------------------------------------------- timing

def take_turns(players, turns, seconds=None):
    """Run functions alternately, so that other load on the machine affects all of them alike.

    Args:
        players: {name: function without arguments that returns the result of its turn}.
        turns: number of turns of each that count, after one warm-up turn.
        seconds: continue for at least this long.

    Returns:
        {name: [results of `turns` or more turns]}
    """
    results, start, number = {name: [] for name in players}, time.perf_counter(), 0
    while number <= turns or (seconds is not None and time.perf_counter() - start < seconds):
        for name in list(players)[::1 if number % 2 else -1]:  # neither order is favoured
            results[name].append(players[name]())
        number += 1
    return {name: values[1:] for name, values in results.items()}


def timed(function):
    """Return the seconds that a function takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def pair_ratios(after, before):
    """Compare two lists of seconds from alternating turns: after / before, pair by pair.

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
    """Round a number to this many significant digits, as in all results."""
    return float(f'{value:.{digits}g}')


# ---------------------------------------------------------------- the machine

def read_rows(path):
    """Return the rows of a .jsonl file as a list of dicts, [] if there is no file."""
    if not os.path.isfile(path):
        return []
    with open(path, encoding='utf-8') as file:
        return [json.loads(line) for line in file]


def add_row(path, row):
    """Append a row to a .jsonl file. Lines stay whole even if the process is killed."""
    from pgan.files import atomic_append, to_json
    atomic_append(path, to_json(row) + '\n')


def generate(Gs, latents):
    """Images of Gs, uint8 [N, C, R, R]."""
    import numpy as np
    return Gs.run(latents, out_mul=127.5, out_add=127.5, out_dtype=np.uint8)


def peak_mb():
    """Peak memory of this process in MB.

    getrusage is only the fallback: it includes the memory of the parent process at the start of
    this one.
    """
    with contextlib.suppress(OSError), open('/proc/self/status') as file:
        return int(re.search(r'VmHWM:\s*(\d+) kB', file.read())[1]) >> 10
    import resource
    return resource.getrusage(
        resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == 'darwin' else 10)


def load():
    """Load average of the last minute; None where it is not known."""
    with contextlib.suppress(OSError, AttributeError):
        return round(os.getloadavg()[0], 2)


def describe_machine():
    """Facts that results depend on: processor, cores, memory, versions."""
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
