"""The paper's ablation study (section 6.1, Table 1), one row per run.

    .venv/bin/python train.py --config configs/ablation.py

Published: sliced Wasserstein distance (average of the levels 128 to 16) / MS-SSIM, by row:

    row                                CelebA             LSUN bedroom
    a   Gulrajani et al. 2017           9.28 / 0.2854     11.25 / 0.0587
    b   + progressive growing           4.28 / 0.2838      7.60 / 0.0615
    c   + small minibatch              46.23 / 0.4065     49.52 / 0.1061
    d   + revised training parameters   8.07 / 0.3027      6.54 / 0.0662
    e*  + minibatch discrimination      9.84 / 0.3057      8.43 / 0.0648
    e   minibatch stddev instead        7.04 / 0.2950      6.48 / 0.0671
    f   + equalized learning rate       4.39 / 0.2902      4.02 / 0.0668
    g   + pixelwise normalization       3.56 / 0.2845      4.01 / 0.0640
    h   converged                       2.96 / 0.2828      3.31 / 0.0636

Measure a finished run with evaluate_metrics, metrics=['swd'], num_images=16384, and
metrics=['msssim'], num_images=10000.

Data sets: dataset_tool.py create_celeba datasets/celeba CELEBA_DIR, or create_lsun
datasets/lsun-bedroom-full LMDB. The original gives no time for a run, and no run at full width was
made here.
"""
_row = 'g'                          # 'a', 'b', 'c', 'd', 'e*', 'e', 'f', 'g', 'h'.
_data = 'celeba'                    # 'celeba' or 'lsun-bedroom'.

# Row h has the settings of g. The paper trained it longer and at full width; to do the same, add
# (total_kimg as you choose): --set train.total_kimg=20000 --set G.fmap_base=8192 --set
# D.fmap_base=8192
_step = 'abcdefgh'.index(_row[0])   # Number of the changes from a to h that are made.
desc = f'ablation-{_row.replace("*", "-star")}-{_data}'
dataset = {
    'celeba': EasyDict(tfrecord_dir='celeba'),
    'lsun-bedroom': EasyDict(tfrecord_dir='lsun-bedroom-full', resolution=128)
}[_data]
train = EasyDict(func='train.train_progressive_gan', total_kimg=10000,
                 mirror_augment=_data == 'celeba')
G = EasyDict(func='networks.G_paper', fmap_base=2048)
D = EasyDict(func='networks.D_paper', fmap_base=2048, mbstd_group_size=16)
sched = EasyDict(minibatch_base=16, lod_training_kimg=800, lod_transition_kimg=800)
if _step < 1:                       # No growing.
    sched.update(lod_initial_resolution=128, lod_training_kimg=0, lod_transition_kimg=0)
if _step < 2:                       # Large minibatches: the average of G decays as much per image.
    sched.minibatch_base = 64
    train.G_smoothing = 0.999 ** 20
if _step == 2:
    train.G_smoothing = 0.999 ** 5
if _step < 3:                       # The training parameters of Gulrajani et al.
    train.D_repeats = 5
    G_opt.beta2 = D_opt.beta2 = 0.9
    G.update(latent_size=128, normalize_latents=False, use_leakyrelu=False, use_batchnorm=True,
             tanh_at_end=1.0)
    D.use_layernorm = True
    D_loss.wgan_epsilon = 0.0
if _step < 4 or _row == 'e*':
    D.mbstat_avg = None
if _row == 'e*':
    D.mbdisc_kernels = 100
if _step < 5:                       # No equalized learning rate.
    sched.update(G_lrate_base=0.0001, D_lrate_base=0.0001)
    G.use_wscale = D.use_wscale = False
if _step < 6:
    G.use_pixelnorm = False
