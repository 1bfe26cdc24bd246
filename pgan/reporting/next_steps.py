"""What to do with a run that has come to its end."""
import os

from pgan.invocation import command, path_argument
from pgan.reporting import report


def next_steps(folder: str) -> str:
    """The report, the network and the next commands of a finished run, a line each.

    Args:
        folder: of the run, which the commands name as it is seen from the current folder.
    """
    run = path_argument(folder)
    images = command('util_scripts.py', 'generate_fake_images', '--run_id', run,
                     '--grid_size', 8, 4)
    video = command('util_scripts.py', 'generate_interpolation_video', '--run_id', run,
                    '--grid_size', 3, 2, '--duration_sec', 10)
    return (f'Report:   {os.path.join(folder, report.FILE)}\n'
            f'Networks: {os.path.join(folder, "network-final.pkl")}\n'
            f'Next, images of random latents, or a video that moves between them:\n'
            f'    {images}\n'
            f'    {video}')
