"""What to train, on which data, and how: the file to edit before `.venv/bin/python train.py`.

Lines that begin with '#' right before code are alternatives: uncomment the one you want, comment out the one it replaces.
Each option is one line and adds its name to `desc`, so the name of a result folder tells how the run was configured.

A single experiment needs no edit here. The same names can be set from the command line, which overrides this file:

    .venv/bin/python train.py --config configs/my_experiment.py        # a file with a few lines like those below
    .venv/bin/python train.py --set train.total_kimg=100 --set num_gpus=2
"""


class EasyDict(dict):
    """A dict whose items are also attributes: `sched.minibatch_base = 8` is `sched['minibatch_base'] = 8`."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f'option {name!r} is not set. Options that are set: {", ".join(map(str, self)) or "none"}') from None

    def __setattr__(self, name, value):
        self[name] = value

    def __delattr__(self, name):
        try:
            del self[name]
        except KeyError:
            raise AttributeError(name) from None


# ----------------------------------------------------------------------------------------------------------------------
# Paths. Relative paths start at the current folder.

data_dir = 'datasets'                                      # Data sets made by dataset_tool.py, one folder each.
result_dir = 'results'                                     # Every run makes a numbered folder here.

# ----------------------------------------------------------------------------------------------------------------------
# TensorFlow.

tf_config = EasyDict()                                     # Options of the TensorFlow runtime, under their TensorFlow 1 names.
tf_config['graph_options.place_pruned_graph'] = True       # No effect in TensorFlow 2; accepted because the original sets it.
#tf_config['gpu_options.allow_growth'] = True              # Allocate GPU memory as needed instead of all of it at the start.
#tf_config['allow_soft_placement'] = False                 # Fail where an operation cannot run on the GPU.
#tf_config['tf32'] = True                                  # TensorFloat-32 on NVIDIA GPUs from Ampere on: about twice as fast, relative errors of 1e-3.
#tf_config['intra_op_parallelism_threads'] = 4             # CPU threads that share one operation. Unset: one for narrow networks on two cores, else all.
#tf_config['inter_op_parallelism_threads'] = 2             # CPU threads that run independent operations.

env = EasyDict()                                           # Environment variables, set before TensorFlow is imported.
env.TF_CPP_MIN_LOG_LEVEL = '1'                             # Hide TensorFlow's information lines, show its warnings.
#env.CUDA_VISIBLE_DEVICES = '0'                            # Use these GPUs only, by number: '0' or '0,1'. '' trains on the CPU.

# ----------------------------------------------------------------------------------------------------------------------
# Defaults of every run. The sections below add to them.

desc = 'pgan'                                              # Name of the result folder, after its number.
random_seed = 1000                                         # Seed of every random number in the run.
num_gpus = 1                                               # GPUs to train on; the presets below set it.

dataset = EasyDict()                                       # Data set; the next section fills it in.
train = EasyDict(func='train.train_progressive_gan')       # What `.venv/bin/python train.py` runs, and its options.
G = EasyDict(func='networks.G_paper')                      # Generator.
D = EasyDict(func='networks.D_paper')                      # Discriminator.
G_opt = EasyDict(beta1=0.0, beta2=0.99, epsilon=1e-8)      # Generator's optimizer, Adam.
D_opt = EasyDict(beta1=0.0, beta2=0.99, epsilon=1e-8)      # Discriminator's optimizer, Adam.
G_loss = EasyDict(func='loss.G_wgan_acgan')                # Generator's loss.
D_loss = EasyDict(func='loss.D_wgangp_acgan')              # Discriminator's loss.
sched = EasyDict()                                         # Schedule: minibatch, learning rates, growth (train.TrainingSchedule).
grid = EasyDict(size='1080p', layout='random')             # Image grids saved while training: reals.png, fakes*.png.

# ----------------------------------------------------------------------------------------------------------------------
# Data set: choose one.

desc += '-celebahq';             dataset = EasyDict(tfrecord_dir='celebahq'); train.mirror_augment = True                   # 1024x1024.
#desc += '-celeba';              dataset = EasyDict(tfrecord_dir='celeba'); train.mirror_augment = True                     # 128x128.
#desc += '-cifar10';             dataset = EasyDict(tfrecord_dir='cifar10')                                                 # 32x32.
#desc += '-cifar100';            dataset = EasyDict(tfrecord_dir='cifar100')                                                # 32x32.
#desc += '-svhn';                dataset = EasyDict(tfrecord_dir='svhn')                                                    # 32x32.
#desc += '-mnist';               dataset = EasyDict(tfrecord_dir='mnist')                                                   # 32x32, gray.
#desc += '-mnistrgb';            dataset = EasyDict(tfrecord_dir='mnistrgb')                                                # 32x32.
#desc += '-syn1024rgb';          dataset = EasyDict(class_name='dataset.SyntheticDataset', resolution=1024, num_channels=3)  # Black images.
#desc += '-lsun-airplane';       dataset = EasyDict(tfrecord_dir='lsun-airplane-100k'); train.mirror_augment = True         # 256x256.
#desc += '-lsun-bedroom';        dataset = EasyDict(tfrecord_dir='lsun-bedroom-100k'); train.mirror_augment = True          # 256x256.
#desc += '-lsun-bicycle';        dataset = EasyDict(tfrecord_dir='lsun-bicycle-100k'); train.mirror_augment = True          # 256x256.
#desc += '-lsun-bird';           dataset = EasyDict(tfrecord_dir='lsun-bird-100k'); train.mirror_augment = True             # 256x256.
#desc += '-lsun-boat';           dataset = EasyDict(tfrecord_dir='lsun-boat-100k'); train.mirror_augment = True             # 256x256.
#desc += '-lsun-bottle';         dataset = EasyDict(tfrecord_dir='lsun-bottle-100k'); train.mirror_augment = True           # 256x256.
#desc += '-lsun-bridge';         dataset = EasyDict(tfrecord_dir='lsun-bridge-100k'); train.mirror_augment = True           # 256x256.
#desc += '-lsun-bus';            dataset = EasyDict(tfrecord_dir='lsun-bus-100k'); train.mirror_augment = True              # 256x256.
#desc += '-lsun-car';            dataset = EasyDict(tfrecord_dir='lsun-car-100k'); train.mirror_augment = True              # 256x256.
#desc += '-lsun-cat';            dataset = EasyDict(tfrecord_dir='lsun-cat-100k'); train.mirror_augment = True              # 256x256.
#desc += '-lsun-chair';          dataset = EasyDict(tfrecord_dir='lsun-chair-100k'); train.mirror_augment = True            # 256x256.
#desc += '-lsun-churchoutdoor';  dataset = EasyDict(tfrecord_dir='lsun-churchoutdoor-100k'); train.mirror_augment = True    # 256x256.
#desc += '-lsun-classroom';      dataset = EasyDict(tfrecord_dir='lsun-classroom-100k'); train.mirror_augment = True        # 256x256.
#desc += '-lsun-conferenceroom'; dataset = EasyDict(tfrecord_dir='lsun-conferenceroom-100k'); train.mirror_augment = True   # 256x256.
#desc += '-lsun-cow';            dataset = EasyDict(tfrecord_dir='lsun-cow-100k'); train.mirror_augment = True              # 256x256.
#desc += '-lsun-diningroom';     dataset = EasyDict(tfrecord_dir='lsun-diningroom-100k'); train.mirror_augment = True       # 256x256.
#desc += '-lsun-diningtable';    dataset = EasyDict(tfrecord_dir='lsun-diningtable-100k'); train.mirror_augment = True      # 256x256.
#desc += '-lsun-dog';            dataset = EasyDict(tfrecord_dir='lsun-dog-100k'); train.mirror_augment = True              # 256x256.
#desc += '-lsun-horse';          dataset = EasyDict(tfrecord_dir='lsun-horse-100k'); train.mirror_augment = True            # 256x256.
#desc += '-lsun-kitchen';        dataset = EasyDict(tfrecord_dir='lsun-kitchen-100k'); train.mirror_augment = True          # 256x256.
#desc += '-lsun-livingroom';     dataset = EasyDict(tfrecord_dir='lsun-livingroom-100k'); train.mirror_augment = True       # 256x256.
#desc += '-lsun-motorbike';      dataset = EasyDict(tfrecord_dir='lsun-motorbike-100k'); train.mirror_augment = True        # 256x256.
#desc += '-lsun-person';         dataset = EasyDict(tfrecord_dir='lsun-person-100k'); train.mirror_augment = True           # 256x256.
#desc += '-lsun-pottedplant';    dataset = EasyDict(tfrecord_dir='lsun-pottedplant-100k'); train.mirror_augment = True      # 256x256.
#desc += '-lsun-restaurant';     dataset = EasyDict(tfrecord_dir='lsun-restaurant-100k'); train.mirror_augment = True       # 256x256.
#desc += '-lsun-sheep';          dataset = EasyDict(tfrecord_dir='lsun-sheep-100k'); train.mirror_augment = True            # 256x256.
#desc += '-lsun-sofa';           dataset = EasyDict(tfrecord_dir='lsun-sofa-100k'); train.mirror_augment = True             # 256x256.
#desc += '-lsun-tower';          dataset = EasyDict(tfrecord_dir='lsun-tower-100k'); train.mirror_augment = True            # 256x256.
#desc += '-lsun-train';          dataset = EasyDict(tfrecord_dir='lsun-train-100k'); train.mirror_augment = True            # 256x256.
#desc += '-lsun-tvmonitor';      dataset = EasyDict(tfrecord_dir='lsun-tvmonitor-100k'); train.mirror_augment = True        # 256x256.

# ----------------------------------------------------------------------------------------------------------------------
# Conditioning and image grids: any number of these.

#desc += '-cond';               dataset.max_label_size = 'full'   # Condition on the whole label, e.g. the class of the image.
#desc += '-cond1';              dataset.max_label_size = 1        # Condition on the first component of the label only.
#desc += '-g4k';                grid.size = '4k'                  # Larger image grids: 3840x2160 pixels.
#desc += '-grpc';               grid.layout = 'row_per_class'     # Image grids with one class a row; needs a conditioned run.

# ----------------------------------------------------------------------------------------------------------------------
# Preset: choose one. Minibatch sizes (over all GPUs) and learning rates are given by resolution; resolutions not listed use the base.
#
#   preset-v1-1gpu    The paper's schedule for CelebA-HQ and LSUN: about a month on one V100 at 1024x1024.
#   preset-v2-1gpu    Converges considerably faster: about 2 weeks on one V100.
#   preset-v2-2gpus   About a week on 2 V100.
#   preset-v2-4gpus   About 3 days on 4 V100.
#   preset-v2-8gpus   About 2 days on 8 V100.

#desc += '-preset-v1-1gpu';     num_gpus = 1; D.mbstd_group_size = 16; sched.minibatch_base = 16; sched.minibatch_dict = {256: 14, 512: 6, 1024: 3}; sched.lod_training_kimg = 800; sched.lod_transition_kimg = 800; train.total_kimg = 19000
desc += '-preset-v2-1gpu';      num_gpus = 1; sched.minibatch_base = 4; sched.minibatch_dict = {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4}; sched.G_lrate_dict = {1024: 0.0015}; sched.D_lrate_dict = dict(sched.G_lrate_dict); train.total_kimg = 12000
#desc += '-preset-v2-2gpus';    num_gpus = 2; sched.minibatch_base = 8; sched.minibatch_dict = {4: 256, 8: 256, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8}; sched.G_lrate_dict = {512: 0.0015, 1024: 0.002}; sched.D_lrate_dict = dict(sched.G_lrate_dict); train.total_kimg = 12000
#desc += '-preset-v2-4gpus';    num_gpus = 4; sched.minibatch_base = 16; sched.minibatch_dict = {4: 512, 8: 256, 16: 128, 32: 64, 64: 32, 128: 16}; sched.G_lrate_dict = {256: 0.0015, 512: 0.002, 1024: 0.003}; sched.D_lrate_dict = dict(sched.G_lrate_dict); train.total_kimg = 12000
#desc += '-preset-v2-8gpus';    num_gpus = 8; sched.minibatch_base = 32; sched.minibatch_dict = {4: 512, 8: 256, 16: 128, 32: 64, 64: 32}; sched.G_lrate_dict = {128: 0.0015, 256: 0.002, 512: 0.003, 1024: 0.003}; sched.D_lrate_dict = dict(sched.G_lrate_dict); train.total_kimg = 12000

# ----------------------------------------------------------------------------------------------------------------------
# Numerical precision: choose one. max_minibatch_per_gpu keeps the run inside the memory of a 16 GB GPU.
#
#   fp32   32-bit floats.
#   fp16   16-bit floats inside the networks, with loss scaling: faster on GPUs with tensor cores.
#   bf16   bfloat16 inside the networks: the range of 32-bit floats, so no loss scaling; fast on newer GPUs and many CPUs.

desc += '-fp32';                sched.max_minibatch_per_gpu = {256: 16, 512: 8, 1024: 4}
#desc += '-fp16';               G.dtype = D.dtype = 'float16'; G.pixelnorm_epsilon = 1e-4; G_opt.use_loss_scaling = D_opt.use_loss_scaling = True; sched.max_minibatch_per_gpu = {512: 16, 1024: 8}
#desc += '-bf16';               G.dtype = D.dtype = 'bfloat16'; sched.max_minibatch_per_gpu = {512: 16, 1024: 8}

# ----------------------------------------------------------------------------------------------------------------------
# Features to switch off, to see what each contributes: any number of these.
#
#   nogrowing    Train all layers from the start.

#desc += '-nogrowing';          sched.lod_initial_resolution = 1024; sched.lod_training_kimg = 0; sched.lod_transition_kimg = 0; train.total_kimg = 10000
#desc += '-nopixelnorm';        G.use_pixelnorm = False                   # No pixelwise normalization in the generator.
#desc += '-nowscale';           G.use_wscale = D.use_wscale = False       # No equalized learning rate.
#desc += '-noleakyrelu';        G.use_leakyrelu = False                   # ReLU in the generator.
#desc += '-nosmoothing';        train.G_smoothing = 0.0                   # Gs is the generator itself, not its running average.
#desc += '-norepeat';           train.minibatch_repeats = 1               # Look at the schedule after every minibatch.
#desc += '-noreset';            train.reset_opt_for_new_lod = False       # Keep the optimizers' state when layers are added.

# ----------------------------------------------------------------------------------------------------------------------
# Special modes: any number of these.
#
#   BENCHMARK    Run through all resolutions in 51 thousand images, to measure speed.
#   BENCHMARK0   The same at full resolution only, in 10 thousand images.
#   VERBOSE      A status line and an image grid every thousand images, networks every 100 thousand.
#   GRAPH        Put the graph of the training step into the TensorBoard log.
#   HIST         Put histograms of all weights into the TensorBoard log.
#   SWD          Measure the generator whenever networks are saved; other metrics: see the utilities below.

#desc += '-BENCHMARK';          sched.lod_initial_resolution = 4; sched.lod_training_kimg = 3; sched.lod_transition_kimg = 3; train.total_kimg = (8 * 2 + 1) * 3; sched.tick_kimg_base = 1; sched.tick_kimg_dict = {}; train.image_snapshot_ticks = 1000; train.network_snapshot_ticks = 1000
#desc += '-BENCHMARK0';         sched.lod_initial_resolution = 1024; train.total_kimg = 10; sched.tick_kimg_base = 1; sched.tick_kimg_dict = {}; train.image_snapshot_ticks = 1000; train.network_snapshot_ticks = 1000
#desc += '-VERBOSE';            sched.tick_kimg_base = 1; sched.tick_kimg_dict = {}; train.image_snapshot_ticks = 1; train.network_snapshot_ticks = 100
#desc += '-GRAPH';              train.save_tf_graph = True
#desc += '-HIST';               train.save_weight_histograms = True
#desc += '-SWD';                train.metrics = ['swd']

# ----------------------------------------------------------------------------------------------------------------------
# Utilities for a finished run, or one that is still training: uncomment one line and enter the run's number, folder name or path.
# They replace `train`. Images and videos go into a new result folder, metrics into the run's folder (metric-*.txt, .jsonl, .png).
# The same from the command line: .venv/bin/python util_scripts.py generate_fake_images --run_id 23 --num_pngs 1000
#
#   fake-images          1000 single images.
#   fake-grids           10 grids, each 15 images wide and 8 high, at a quarter of the size: for 1024x1024; image_shrink=None chooses by resolution.
#                        seeds='1-20,42' instead of grid_size and num_pngs makes one image per seed.
#   interpolation-video  A minute of images that morph into one another; for small images add image_zoom=None. seeds='3,7,42' passes through the images of these seeds.
#   training-video       20 seconds of how the images developed during training.
#   swd-16k              Sliced Wasserstein distance.
#   fid-10k              Frechet inception distance over 10,000 images: quick.
#   fid-50k              Frechet inception distance over 50,000 images, as published.
#   is-50k               Inception score.
#   msssim-20k           Similarity of the images to one another.
#   kid-10k              Kernel inception distance.
#   pr-10k               Precision and recall.
#   modes-256k           Modes of MNIST-RGB, and KL divergence.
#   projection           The latent whose image is closest to your picture, and a video of the search.
#   nearest              Fakes next to their nearest training images, by pixels and by features of D: are they copies?

#train = EasyDict(func='util_scripts.generate_fake_images', run_id=23, num_pngs=1000); num_gpus = 1; desc = f'fake-images-{train.run_id}'
#train = EasyDict(func='util_scripts.generate_fake_images', run_id=23, grid_size=[15, 8], num_pngs=10, image_shrink=4); num_gpus = 1; desc = f'fake-grids-{train.run_id}'

#train = EasyDict(func='util_scripts.generate_interpolation_video', run_id=23, grid_size=[1, 1], duration_sec=60.0, smoothing_sec=1.0); num_gpus = 1; desc = f'interpolation-video-{train.run_id}'
#train = EasyDict(func='util_scripts.generate_training_video', run_id=23, duration_sec=20.0); num_gpus = 1; desc = f'training-video-{train.run_id}'

#train = EasyDict(func='util_scripts.evaluate_metrics', run_id=23, log='metric-swd-16k.txt', metrics=['swd'], num_images=16384, real_passes=2); num_gpus = 1; desc = f'swd-16k-{train.run_id}'
#train = EasyDict(func='util_scripts.evaluate_metrics', run_id=23, log='metric-fid-10k.txt', metrics=['fid'], num_images=10000, real_passes=1); num_gpus = 1; desc = f'fid-10k-{train.run_id}'
#train = EasyDict(func='util_scripts.evaluate_metrics', run_id=23, log='metric-fid-50k.txt', metrics=['fid'], num_images=50000, real_passes=1); num_gpus = 1; desc = f'fid-50k-{train.run_id}'
#train = EasyDict(func='util_scripts.evaluate_metrics', run_id=23, log='metric-is-50k.txt', metrics=['is'], num_images=50000, real_passes=1); num_gpus = 1; desc = f'is-50k-{train.run_id}'
#train = EasyDict(func='util_scripts.evaluate_metrics', run_id=23, log='metric-msssim-20k.txt', metrics=['msssim'], num_images=20000, real_passes=1); num_gpus = 1; desc = f'msssim-20k-{train.run_id}'
#train = EasyDict(func='util_scripts.evaluate_metrics', run_id=23, log='metric-kid-10k.txt', metrics=['kid'], num_images=10000, real_passes=1); num_gpus = 1; desc = f'kid-10k-{train.run_id}'
#train = EasyDict(func='util_scripts.evaluate_metrics', run_id=23, log='metric-pr-10k.txt', metrics=['pr'], num_images=10000, real_passes=1); num_gpus = 1; desc = f'pr-10k-{train.run_id}'
#train = EasyDict(func='util_scripts.evaluate_metrics', run_id=23, log='metric-modes-256k.txt', metrics=['modes'], num_images=256000, real_passes=1); num_gpus = 1; desc = f'modes-256k-{train.run_id}'

#train = EasyDict(func='util_scripts.project_image', run_id=23, image='picture.png', num_steps=500); num_gpus = 1; desc = f'projection-{train.run_id}'
#train = EasyDict(func='util_scripts.nearest', run_id=23, num=8, neighbours=4); num_gpus = 1; desc = f'nearest-{train.run_id}'
