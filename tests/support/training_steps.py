"""Training steps of small networks."""
import numpy as np

import dataset
import loss
import tfutil
from pgan.training.step import TrainingSteps, UpdateOptions

OPTIONS = dict(num_channels=1, resolution=16, fmap_base=32, fmap_max=8)


def make(structure=None, training_set=None, G=None, G_loss=loss.G_wgan_acgan,
         D_loss=loss.D_wgangp_acgan, epsilon=1e-8, resolution=16, **options):
    """Small networks and their updates: (steps, training set). `options` are those of updates."""
    training_set = training_set or dataset.SyntheticDataset(resolution, 1)
    nets = [
        tfutil.Network(n, f'networks.{n}_paper', structure=structure,
                       label_size=training_set.label_size,
                       **{**OPTIONS, 'resolution': resolution}) for n in 'GD'
    ]
    nets[0] = G or nets[0]
    opts = [tfutil.Optimizer(f'Train{n}', beta1=0.0, beta2=0.99, epsilon=epsilon) for n in 'GD']
    options = UpdateOptions(**{**dict(G_smoothing=0.9, random_seed=3), **options})
    return TrainingSteps([*nets, nets[0].clone('Gs')], opts, [G_loss, D_loss], training_set,
                         options), training_set


def values(net):
    return {name: net.get_var(name) for name in net.trainables}


def set_random_weights(steps):
    """Reproducible random weights in G and D, including biases."""
    rnd = np.random.RandomState(1)
    for net in (steps.G, steps.D):
        for name in net.trainables:
            net.set_var(name, rnd.randn(*net.vars[name].shape))


def moved(before, net):
    return {name for name, value in before.items() if (value != net.get_var(name)).any()}
