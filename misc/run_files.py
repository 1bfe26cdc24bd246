"""Names of the files that let a run resume, and the command that resumes it.

Separate from `misc.resuming`, which reads and writes these files, so that the modules it depends on
can use the names, too.
"""
import glob
import os

from pgan.invocation import command, path_argument

FOLDER = 'checkpoints'
# Name in older versions. TensorFlow expects a file of that name, so TensorBoard printed a warning.
OLD_FOLDER = 'checkpoint'
DONE_MARK = '_training-done.txt'


def checkpoint_folder(result_subdir: str | os.PathLike) -> str:
    """Path of a run's checkpoint folder, which need not exist: RUN/checkpoints, or RUN/checkpoint
    if an older version made that one.
    """
    old = os.path.join(result_subdir, OLD_FOLDER)
    return old if os.path.isdir(old) else os.path.join(result_subdir, FOLDER)


def has_checkpoint(result_subdir: str | os.PathLike) -> bool:
    """Whether a run has saved a checkpoint."""
    folder = glob.escape(checkpoint_folder(result_subdir))
    return bool(glob.glob(os.path.join(folder, 'ckpt-*.index')))


def run_json(result_subdir: str | os.PathLike) -> str:
    """Path of the record of how a run was started."""
    return os.path.join(checkpoint_folder(result_subdir), 'run.json')


def resume_command(path: str | os.PathLike, *assignments: str) -> str:
    """Command line that resumes a run, to be typed in the current folder.

    It names the run by its path, as numbers and names may be ambiguous.

    Args:
        path: the run's result folder.
        assignments: arguments for `--set`.
    """
    options = [part for text in assignments for part in ('--set', text)]
    return command('train.py', '--resume', path_argument(path), *options)
