"""Next steps after a run has finished: its files, and commands that use its networks."""
import os

from misc.results import BEST
from pgan.invocation import command, path_argument
from pgan.reporting import report
from pgan.reporting.best_snapshot import read_best


def next_steps(folder: str) -> str:
    """Text with the report, the networks and useful commands of a finished run.

    Args:
        folder: the run's folder. The commands name it relative to the current folder.
    """
    run = path_argument(folder)
    images = command('util_scripts.py', 'generate_fake_images', '--run_id', run,
                     '--grid_size', 8, 4)
    video = command('util_scripts.py', 'generate_interpolation_video', '--run_id', run,
                    '--grid_size', 3, 2, '--duration_sec', 10)
    best = read_best(folder)
    best_line = '' if best is None else (
        f'Best:     {os.path.join(folder, BEST)} ({best}; --snapshot best)\n')
    return (f'Report:   {os.path.join(folder, report.FILE)}\n'
            f'Networks: {os.path.join(folder, "network-final.pkl")}\n'
            f'{best_line}'
            f'Next, images of random latents, or a video that interpolates between them:\n'
            f'    {images}\n'
            f'    {video}')
