"""Scripts for a finished run, or one that is still training: `python util_scripts.py SCRIPT
--run_id N [options]`.

config.py's `train` can name them as well, as 'util_scripts.<name>': see the lines at the end of
config.py.
"""
import sys

if __name__ == '__main__':
    from pgan.scripts.command_line import main
    # before the imports below: config.env must be in force when TensorFlow is imported
    sys.exit(main())

from pgan.explorer.explore import explore
from pgan.scripts.evaluate_metrics import evaluate_metrics
from pgan.scripts.generate_fake_images import generate_fake_images
from pgan.scripts.generate_interpolation_video import generate_interpolation_video
from pgan.scripts.generate_training_video import generate_training_video
from pgan.scripts.nearest import nearest
from pgan.scripts.project_image import project_image
from pgan.scripts.write_report import write_report

__all__ = [
    'evaluate_metrics', 'explore', 'generate_fake_images', 'generate_interpolation_video',
    'generate_training_video', 'nearest', 'project_image', 'write_report'
]
