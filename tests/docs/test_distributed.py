"""docs/distributed.md: its cluster scripts, run with stand-ins for the cluster's commands, set a
valid TF_CONFIG.
"""
import os
import re
import subprocess
import textwrap

from tests.support.golden import ROOT
from tfutil.cluster import Cluster

# Prints its arguments, one line per task.
PYTHON = '''#!/bin/bash
echo "$TF_CONFIG|$*"
'''
# Expands node[3,7] as Slurm does.
SCONTROL = '''#!/bin/bash
[ "$*" = "show hostnames node[3,7]" ] || exit 9
printf 'node3\\nnode7\\n'
'''
# Runs a command as the job's two tasks.
SRUN = '''#!/bin/bash
[ "$1" = --kill-on-bad-exit=1 ] || exit 9
SLURM_PROCID=0 "${@:2}" && SLURM_PROCID=1 "${@:2}"
'''


def snippet(language):
    """The one code block of a language."""
    found = re.findall(rf'^```{language}\n(.*?)^```$',
                       (ROOT / 'docs' / 'distributed.md').read_text(), re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return found[0]


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def clusters(script, *arguments, **environ):
    """Clusters and train.py arguments of the tasks that a script starts in the current folder."""
    path = f'{os.getcwd()}/bin:{os.environ["PATH"]}'
    done = subprocess.run(['bash', script, *arguments], capture_output=True, text=True,
                          env={'PATH': path, **environ})
    assert done.returncode == 0, done.stderr
    tasks = [line.split('|') for line in done.stdout.splitlines()]
    return [(Cluster.from_environment({'TF_CONFIG': text}), command) for text, command in tasks]


def test_the_script_for_slurm(in_tmp):
    for name, text in dict(scontrol=SCONTROL, srun=SRUN).items():
        put(in_tmp / 'bin' / name, text)
    put(in_tmp / 'submitted from' / '.venv' / 'bin' / 'python', PYTHON)
    put(in_tmp / 'train.sbatch', snippet('bash'))
    received = clusters('train.sbatch', '--resume', 'two words', SLURM_JOB_NODELIST='node[3,7]',
                        SLURM_JOB_ID='7654321', SLURM_SUBMIT_DIR=str(in_tmp / 'submitted from'))
    addresses = ('node3:24321', 'node7:24321')
    assert received == [(Cluster(addresses, i), 'train.py --resume two words') for i in range(2)]
    options = re.findall(r'^#SBATCH --([a-z-]+)=', snippet('bash'), re.MULTILINE)
    assert snippet('bash').startswith('#!/bin/bash\n#SBATCH') and {
        'nodes', 'ntasks-per-node', 'gpus-per-node'
    } <= set(options)


def test_the_script_for_slurm_stops_where_something_is_missing(in_tmp):
    """A list of hosts that Slurm cannot expand must not start a run on one machine."""
    put(in_tmp / 'bin' / 'scontrol', SCONTROL)
    put(in_tmp / 'bin' / 'srun', 'echo started')
    put(in_tmp / 'train.sbatch', snippet('bash'))
    done = subprocess.run(
        ['bash', 'train.sbatch'], capture_output=True, text=True, env={
            'PATH': f'{in_tmp}/bin:{os.environ["PATH"]}', 'SLURM_JOB_NODELIST': 'gone',
            'SLURM_JOB_ID': '1', 'SLURM_SUBMIT_DIR': str(in_tmp)
        })
    assert done.returncode == 9 and 'started' not in done.stdout


def test_the_script_for_kubernetes(in_tmp):
    """The shell lines of the manifest, as pods 0 and 1, with the pod names that the manifest sets.
    """
    text = snippet('yaml')
    lines = re.search(r'^ *args:\n *- \|\n(.*?)^ *resources:', text, re.DOTALL | re.MULTILINE)[1]
    assert '$(' not in lines  # which Kubernetes would take for a variable of its own
    put(in_tmp / '.venv' / 'bin' / 'python', PYTHON)
    put(in_tmp / 'command.sh', textwrap.dedent(lines))
    machines = re.search(r'name: MACHINES\n *value: "(\d+)"', text)[1]
    assert re.search(r'completions: (\d+)', text)[1] == re.search(r'parallelism: (\d+)',
                                                                  text)[1] == machines == '2'
    names = set(re.findall(r'^  name: (\S+)$', text,
                           re.MULTILINE)) | {re.search(r'subdomain: (\S+)', text)[1]}
    assert names == {'pgan'}
    for i in range(2):
        received = clusters('command.sh', MACHINES=machines, JOB_COMPLETION_INDEX=str(i))
        assert received == [(Cluster(('pgan-0.pgan:12345', 'pgan-1.pgan:12345'), i), 'train.py')]
