"""MNIST-RGB mode recovery with tiny discriminators (paper, Appendix D and Table 4).

    .venv/bin/python train.py --config configs/mnist_modes.py

Published, modes found of 1000 by variant: for K = 1/4 640 (plain), 857, 881, 860; for K = 1/2 772,
887, 918, 920. Measure a finished run with evaluate_metrics, metrics=['modes'], num_images=256000:
ten evaluations.

Data set: dataset_tool.py create_mnistrgb datasets/mnistrgb MNIST_DIR. Time of a run:
docs/reproduction.md.
"""
# 4 or 2: the discriminator is this many times smaller than the generator. The paper's K is the
# reciprocal, 1/4 or 1/2.
_K = 4
# 'plain' WGAN-GP; 'ournorm', 'mbstddev', 'progression' each add to the one before.
_variant = 'progression'

_added = ['plain', 'ournorm', 'mbstddev', 'progression']
_added = _added[:_added.index(_variant) + 1]
desc = f'mnist-modes-K{_K}-{_variant}'
dataset = EasyDict(tfrecord_dir='mnistrgb')
train = EasyDict(func='train.train_progressive_gan', D_repeats=5, total_kimg=10000)
G = EasyDict(func='networks.G_mnist_mode_recovery')
D = EasyDict(func='networks.D_mnist_mode_recovery', X=_K)
D_loss.wgan_epsilon = 0.0
sched = EasyDict(minibatch_base=64, lod_initial_resolution=32, lod_training_kimg=0,
                 lod_transition_kimg=0)
if 'ournorm' in _added:             # The paper's normalization instead of batch normalization.
    G.update(use_wscale=True, use_pixelnorm=True, use_batchnorm=False)
    D.update(use_wscale=True, use_batchnorm=False)
if 'mbstddev' in _added:            # The minibatch stddev covers the whole minibatch.
    D.update(mbstat_avg='all', mbstd_group_size=64)
if 'progression' in _added:
    G.progressive = D.progressive = True
    sched.update(lod_initial_resolution=4, lod_training_kimg=500, lod_transition_kimg=2000)
    train.total_kimg = 15000
