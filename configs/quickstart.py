"""What quickstart.sh trains: a small conditional network on the 5000 handwritten digits of `dataset_tool.py create_digits`."""
desc = 'quickstart-digits'
dataset = EasyDict(tfrecord_dir='digits', max_label_size='full')
grid = EasyDict(size='1080p', layout='row_per_class')
G.update(fmap_base=256, fmap_max=64)
D.update(fmap_base=256, fmap_max=64)
train = EasyDict(func='train.train_progressive_gan', total_kimg=56, G_smoothing=0.995, network_snapshot_ticks=100, image_snapshot_ticks=1)
sched = EasyDict(minibatch_base=16, G_lrate_base=0.002, D_lrate_base=0.002, lod_training_kimg=8, lod_transition_kimg=4,
                 tick_kimg_base=4, tick_kimg_dict={})
