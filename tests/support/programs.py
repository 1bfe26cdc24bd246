"""Programs of the repository, each in a separate process.

Importing TensorFlow takes seconds, so one process imports it and is forked for each program.
"""
import functools
import json
import subprocess
import sys
from typing import NamedTuple

from tests.support.golden import ROOT

PROGRAMS = [
    'train.py', 'dataset_tool.py', 'util_scripts.py', 'examples/digits.py',
    'examples/import_example.py', 'docs/draw_rooms.py', '-m benchmarks',
    *(f'-m benchmarks.{name}' for name in (
        'bare_step', 'celebahq', 'compare', 'dataset_tool', 'explorer', 'gpu', 'learning_curves',
        'machine', 'metrics', 'mode_recovery', 'paper_settings', 'peer_torch_step', 'peers',
        'pipeline', 'replicas', 'snapshot', 'startup', 'training_step'))
]
_FORK = '''
import json, os, runpy, sys, tempfile, traceback
import tensorflow
root, commands = json.loads(sys.argv[1])
sys.path[0] = root
results = []
for command in commands:
    with tempfile.TemporaryFile('w+') as output, tempfile.TemporaryFile('w+') as errors:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            code = 0
            try:
                if command[0] == '-m':
                    sys.argv[:] = command[1:]
                    runpy.run_module(command[1], run_name='__main__', alter_sys=True)
                else:
                    sys.argv[:] = command
                    runpy.run_path(os.path.join(root, command[0]), run_name='__main__')
            except SystemExit as end:
                code = end.code
            except BaseException:
                traceback.print_exc()
                code = 1
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code if isinstance(code, int) else code is not None)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        errors.seek(0)
        results.append([code, output.read(), errors.read()])
print(json.dumps(results))
'''


class Done(NamedTuple):
    """Result of a program."""
    returncode: int
    stdout: str
    stderr: str


def run_programs(commands, cwd=ROOT):
    """Run programs of the repository one after the other.

    Args:
        commands: lists of arguments, e.g. ['train.py', '--help'] or ['-m', 'benchmarks', '--help'].
        cwd: current folder of the programs.

    Returns:
        A list of `Done`.
    """
    request = json.dumps([str(ROOT), [list(map(str, words)) for words in commands]])
    done = subprocess.run([sys.executable, '-c', _FORK, request], cwd=cwd, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    return [Done(*result) for result in json.loads(done.stdout)]


@functools.cache
def helps():
    """Output of --help of each program: {program: `Done`}."""
    commands = [[*program.split(), '--help'] for program in PROGRAMS]
    return dict(zip(PROGRAMS, run_programs(commands), strict=True))
