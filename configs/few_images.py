"""A few hundred to a few thousand pictures of your own: the settings of `train.py --images`, to
edit.

`.venv/bin/python train.py --images FOLDER --dry-run` prints the values that suit your pictures,
your machine and your time. Lines below the call change single options.
"""
from pgan.settings import few_images as _few_images

_few_images.apply(globals(), _few_images.Choice(
    tfrecord_dir='mine',  # dataset_tool.py create_from_images datasets/mine FOLDER --resolution 64
    num_images=1000,
    resolution=64,  # of the data set
    width=64,  # feature maps of the widest layers: 32, 64, 128, 256, 512
    total_kimg=500,  # thousands of images shown; growing takes 40 % of them
    precision='fp32',  # fp32, fp16, bf16: the lines of config.py
    labels=False,  # True: train with the classes of the data set
))
