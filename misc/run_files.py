"""Names of what training keeps in a run's folder to continue there, and the command that does.

Apart from `misc.resuming`, which reads and writes it, so that whoever looks for networks can point
there.
"""
import glob
import os

from pgan.invocation import command, path_argument

FOLDER = 'checkpoints'
# Of older versions. TensorFlow looks for a file of that name, so TensorBoard warned about it.
OLD_FOLDER = 'checkpoint'
DONE_MARK = '_training-done.txt'


def checkpoint_folder(result_subdir: str | os.PathLike) -> str:
    """Path of the folder of a run's checkpoints: RUN/checkpoints, whether it exists or not, or
    RUN/checkpoint where an older version made that one.
    """
    old = os.path.join(result_subdir, OLD_FOLDER)
    return old if os.path.isdir(old) else os.path.join(result_subdir, FOLDER)


def has_checkpoint(result_subdir: str | os.PathLike) -> bool:
    """Whether a run has saved its state."""
    folder = glob.escape(checkpoint_folder(result_subdir))
    return bool(glob.glob(os.path.join(folder, 'ckpt-*.index')))


def run_json(result_subdir: str | os.PathLike) -> str:
    """Path of the file that tells how a run was started."""
    return os.path.join(checkpoint_folder(result_subdir), 'run.json')


def resume_command(path: str | os.PathLike, *assignments: str) -> str:
    """The command line that continues a run: typed in the current folder, it means this run and no
    other of the same number or name.

    Args:
        path: the run's result folder.
        assignments: texts for `--set`.
    """
    options = [part for text in assignments for part in ('--set', text)]
    return command('train.py', '--resume', path_argument(path), *options)
