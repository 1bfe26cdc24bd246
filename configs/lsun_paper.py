"""One category of LSUN at 256x256, as in the paper's section 6.4.

    .venv/bin/python train.py --config configs/lsun_paper.py

Published: FID 8.34 for bedroom. Measure a finished run with evaluate_metrics, metrics=['fid'],
num_images=50000.

Data sets: dataset_tool.py create_lsun datasets/lsun-cat-100k LMDB --max_images 100000; bedroom and
dog take all images instead: dataset_tool.py create_lsun datasets/lsun-bedroom-full LMDB. The
original gives no time for a run, and none was measured here. A run shows about as many images as
one of CelebA-HQ, without the expensive stages above 256x256.
"""
_category = 'bedroom'               # One of the 30 of config.py.

# The two largest categories: all their images, none mirrored.
_full = _category in ('bedroom', 'dog')
desc = f'lsun-{_category}-paper'
dataset = EasyDict(tfrecord_dir=f'lsun-{_category}-{"full" if _full else "100k"}', resolution=256)
train = EasyDict(func='train.train_progressive_gan', mirror_augment=not _full, total_kimg=20000)
G = EasyDict(func='networks.G_paper')
D = EasyDict(func='networks.D_paper', mbstd_group_size=16)
sched = EasyDict(minibatch_base=16, lod_training_kimg=800, lod_transition_kimg=800, rampup_kimg=40)
