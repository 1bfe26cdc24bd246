"""Scripts for a finished run, or one that is still training; config.py's `train` names them as 'util_scripts.<name>'.

    python train.py --set "train={'func': 'util_scripts.generate_fake_images', 'run_id': 23, 'num_pngs': 10}"

The lines at the end of config.py show the usual ones with their options.
"""
from scripts.evaluation import evaluate_metrics
from scripts.images import generate_fake_images
from scripts.interpolation import generate_interpolation_video
from scripts.projection import project_image
from scripts.training_video import generate_training_video

__all__ = ['evaluate_metrics', 'generate_fake_images', 'generate_interpolation_video', 'generate_training_video', 'project_image']
