"""The --help of every program of the repository, each in a process of its own.

A process that imports TensorFlow takes seconds to start, so one imports it and is forked for each
program.
"""
import functools
import json
import subprocess
import sys

from tests.support.golden import ROOT

PROGRAMS = [
    'train.py', 'dataset_tool.py', 'util_scripts.py', 'examples/digits.py',
    'examples/import_example.py', '-m benchmarks',
    *(f'-m benchmarks.{name}' for name in (
        'bare_step', 'celebahq', 'compare', 'dataset_tool', 'gpu', 'machine', 'metrics',
        'mode_recovery', 'paper_settings', 'peer_torch_step', 'peers', 'pipeline', 'replicas',
        'snapshot', 'startup', 'training_step'))
]
_FORK = '''
import json, os, runpy, sys, tempfile, traceback
import tensorflow
sys.path[0] = os.getcwd()
results = {}
for program in json.loads(sys.argv[1]):
    with tempfile.TemporaryFile('w+') as output:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            *module, name = program.split()
            sys.argv[:] = [name, '--help']
            code = 0
            try:
                (runpy.run_module if module else runpy.run_path)(name, run_name='__main__')
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
        results[program] = [code, output.read()]
print(json.dumps(results))
'''


@functools.cache
def helps():
    """What each program prints with --help: {program: (exit code, output)}."""
    done = subprocess.run([sys.executable, '-c', _FORK, json.dumps(PROGRAMS)], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {program: tuple(result) for program, result in json.loads(done.stdout).items()}
