"""What quickstart.sh trains: a small conditional network on the 5000 handwritten digits of
`dataset_tool.py create_digits`.

The settings aim at good digits after few images, on a CPU: small minibatches (many updates), a high
learning rate, a short running average, and a large weight of the label term, so that a 3 looks like
a 3. The paper's settings need a hundred times as many images, and give better ones.
"""
desc = 'quickstart-digits'
# 32x32, gray, ten classes.
dataset = EasyDict(tfrecord_dir='digits', max_label_size='full')
grid = EasyDict(size='1080p', layout='row_per_class')
train = EasyDict(func='train.train_progressive_gan', total_kimg=40, G_smoothing=0.99,
                 network_snapshot_ticks=5)
# 4x4 to 32x32 in 18 kimg, then the rest.
sched = EasyDict(lod_training_kimg=4, lod_transition_kimg=2)
sched.update(minibatch_base=16, G_lrate_base=0.004, D_lrate_base=0.004)
# A status line and an image grid every 3 kimg.
sched.update(tick_kimg_base=3, tick_kimg_dict={})
G.update(fmap_base=256, fmap_max=32)
D.update(fmap_base=256, fmap_max=32)
G_loss.cond_weight = 5.0
D_loss.cond_weight = 5.0
