"""CelebA-HQ at 1024x1024, as in the paper's section 6.3.

    .venv/bin/python train.py --config configs/celebahq_paper.py

The preset v1-1gpu, with learning rates that rise over the first 40 kimg, as in the Theano
version. Published: sliced Wasserstein distance 5.44 (average over the levels 1024 to 16), FID 7.30.
Measure a finished run with evaluate_metrics, metrics=['swd'], num_images=16384, and
metrics=['fid'], num_images=50000.

Time: about a month on one Tesla V100 according to the original (1 to 2 months with Theano); not
measured here. The presets v2 of config.py are several times faster.
"""
desc = 'celebahq-paper'
num_gpus = 1
dataset = EasyDict(tfrecord_dir='celebahq')
train = EasyDict(func='train.train_progressive_gan', mirror_augment=True, total_kimg=19000)
G = EasyDict(func='networks.G_paper')
D = EasyDict(func='networks.D_paper', mbstd_group_size=16)
sched = EasyDict(minibatch_base=16, minibatch_dict={256: 14, 512: 6, 1024: 3},
                 lod_training_kimg=800, lod_transition_kimg=800, rampup_kimg=40)
