"""Scripts for a finished run, or one that is still training: `python util_scripts.py SCRIPT --run_id N [options]`.

config.py's `train` can name them as well, as 'util_scripts.<name>': the lines at its end show the usual ones with their options.
"""
import sys

if __name__ == '__main__':
    from scripts.command_line import main
    sys.exit(main())  # before the imports below: config.env must be in force when TensorFlow is imported

from scripts.evaluation import evaluate_metrics
from scripts.images import generate_fake_images
from scripts.interpolation import generate_interpolation_video
from scripts.projection import project_image
from scripts.report import write_report
from scripts.training_video import generate_training_video

__all__ = ['evaluate_metrics', 'generate_fake_images', 'generate_interpolation_video', 'generate_training_video', 'project_image',
           'write_report']
