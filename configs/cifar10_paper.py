"""CIFAR-10 without labels, as in the paper's section 6.5.

    .venv/bin/python train.py --config configs/cifar10_paper.py

Published: inception score 8.80 +- 0.05 (best run), 8.56 +- 0.06 (mean of ten runs). Measure a
finished run with evaluate_metrics, metrics=['is'], num_images=50000; the best snapshot of a run is
what the paper reports.

Data set: dataset_tool.py create_cifar10 datasets/cifar10 CIFAR10_DIR. Time of a run:
docs/reproduction.md.
"""
desc = 'cifar10-paper'
dataset = EasyDict(tfrecord_dir='cifar10')
# G and D updated together.
train = EasyDict(func='train.train_progressive_gan', total_kimg=20000, separate_funcs=False)
G = EasyDict(func='networks.G_paper', fmap_base=4096, fmap_max=128, latent_size=128)
# The minibatch stddev covers the whole minibatch.
D = EasyDict(func='networks.D_paper', fmap_base=4096, fmap_max=128, mbstd_group_size=16)
D_loss.wgan_target = 750.0
sched = EasyDict(minibatch_base=16, lod_training_kimg=400, lod_transition_kimg=400)
