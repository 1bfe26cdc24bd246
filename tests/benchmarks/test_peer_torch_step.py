"""benchmarks.peer_torch_step: the PyTorch peer computes what this program computes."""
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import loss
import tfutil
from benchmarks import peer_torch_step
from tests.support.golden import ROOT, load_json, load_npz
from tests.support.networks import max_abs

TINY = ['--resolution=8', '--fmap_base=64', '--fmap_max=8', '--minibatch=8', '--device=cpu',
        '--seconds=0']


@pytest.fixture
def torch():
    return pytest.importorskip('torch', reason='PyTorch is not installed')


def make(options, *more, backend='aot_eager', **kwargs):
    """A step of networks with these static keywords: eager, unless `more` options say otherwise."""
    names = ('resolution', 'fmap_base', 'fmap_max')
    argv = [*TINY, *(f'--{name}={options[name]}' for name in names), '--no-compile', *more]
    return peer_torch_step.make_step(peer_torch_step.parse_args(argv), backend=backend,
                                     channels=options['num_channels'], **kwargs)


def golden(data, prefix=''):
    """Weights of a golden file by local name."""
    start = f'{prefix}var/'
    return {name.removeprefix(start): a for name, a in data.items() if name.startswith(start)}


def arrays_of(net):
    return {name: var.numpy() for name, var in net.vars.items()}


def paper_networks(minibatch, **options):
    """G, D of this program and a peer step with their weights, biases included."""
    options = dict(dict(num_channels=3, resolution=8, fmap_base=64, fmap_max=8), **options)
    nets = [tfutil.Network(which, f'networks.{which}_paper', **options) for which in 'GD']
    for net in nets:
        for i, (name, var) in enumerate(net.trainables.items()):
            if name.endswith('bias'):
                var.assign(np.random.RandomState(i).randn(*var.shape) / 10)
    step = make(options, f'--minibatch={minibatch}')
    for peer, net in zip((step.G, step.D), nets):
        peer_torch_step.load_weights(peer, arrays_of(net))
    return *nets, step


def spec_layout(tensor):
    """A weight or gradient in this program's layout."""
    array = tensor.detach().numpy()
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def gradients_of(network):
    return {f'{name}/{kind}': spec_layout(getattr(layer, kind).grad)
            for name, layer in network.layers.items() for kind in ('weight', 'bias')}


def assert_gradients_equal(network, expected, rtol=1e-4, atol=1e-6):
    """Within rtol of each gradient's largest element: float32 rounding through both passes.

    atol is for the last bias, whose gradients by reals and by fakes nearly cancel.
    """
    for name, gradient in gradients_of(network).items():
        bound = rtol * np.abs(expected[name]).max() + atol
        assert max_abs(gradient, expected[name]) <= bound, name


# ---------------------------------------------------------------- networks

@pytest.mark.parametrize('case', ['G-base', 'G-res64', 'D-base', 'D-res64'])
def test_outputs_are_the_originals(torch, case):
    """Golden outputs at full resolution, within the measured tolerance. D-base has groups."""
    info, data = load_json('networks.json')['cases'][case], load_npz(f'networks-{case}.npz')
    step = make(info['static_kwargs'])
    net, inputs, output = ((step.G, 'latents', 'out_lod0.00') if case[0] == 'G' else
                           (step.D, 'images', 'scores_lod0.00'))
    peer_torch_step.load_weights(net, golden(data))
    actual = net(torch.tensor(data[inputs])).detach().numpy()
    assert max_abs(actual, data[output].reshape(actual.shape)) <= info['atol']


@pytest.mark.parametrize('resolution', [4, 32])
def test_outputs_are_this_programs(torch, resolution):
    G, D, step = paper_networks(12, resolution=resolution, fmap_base=128)
    latents = np.random.RandomState(0).randn(12, 8).astype(np.float32)
    images, peer_images = G.run(latents), step.fakes(torch.tensor(latents)).detach()
    assert max_abs(peer_images, images) <= 1e-5 * np.abs(images).max()
    scores, _ = D.run(images)
    assert max_abs(step.D(torch.tensor(images)).detach(), scores[:, 0]) <= 1e-5


def test_concatenated_minibatches_are_evaluated_apart(torch):
    step = make(dict(num_channels=3, resolution=8, fmap_base=64, fmap_max=8))
    reals, fakes = torch.randn(8, 3, 8, 8), torch.randn(8, 3, 8, 8)
    together = step.D_scores(reals, fakes)
    for scores, images in zip(together, (reals, fakes)):
        assert max_abs(scores.detach(), step.D(images).detach()) <= 1e-5


def test_minibatch_that_does_not_fit_the_group_is_refused(torch, capsys):
    with pytest.raises(ValueError, match='minibatch 6 is not a multiple of the group of 4'):
        peer_torch_step.minibatch_stddev(torch.zeros(12, 2, 4, 4), parts=2)
    with pytest.raises(SystemExit):
        peer_torch_step.parse_args(['--minibatch=6'])
    assert "Received: '6'" in capsys.readouterr().err


def test_missing_weights_are_refused(torch):
    G, _, step = paper_networks(8)
    arrays = arrays_of(G)
    del arrays['8x8/Conv1/bias']
    with pytest.raises(KeyError, match='8x8/Conv1/bias'):
        peer_torch_step.load_weights(step.G, arrays)


# ---------------------------------------------------------------- losses and updates

@pytest.mark.parametrize('option', ['--no-compile', '--compile'])
def test_losses_and_gradients_are_the_originals(torch, option):
    """Golden losses per sample and gradients, with the second order, eager and traced."""
    case = 'base-lod0'
    info, data = load_json('losses.json')['cases'][case], load_npz(f'losses-{case}.npz')
    step = make(info['G_static_kwargs'], option)
    for which, net in zip('GD', (step.G, step.D)):
        peer_torch_step.load_weights(net, golden(data, f'{which}/'))
    given = {name.removeprefix('D_loss/'): torch.tensor(a) for name, a in data.items()
             if name.startswith('D_loss/') and a.dtype == np.float32}
    with torch.no_grad():
        fakes = step.fakes(given['latents'])
    mixing = given['mixing_factors'].reshape(-1, 1, 1, 1)
    D_loss = step.D_loss(given['reals'], fakes, mixing, step.one)
    D_loss.mean().backward()
    step.D.requires_grad_(False)
    G_loss = step.G_loss(torch.tensor(data['G_loss/latents']))
    G_loss.mean().backward()
    for which, net, values in (('G', step.G, G_loss), ('D', step.D, D_loss)):
        expected = data[f'{which}_loss/loss_per_sample'].reshape(-1)
        atol = info['accuracy'][f'{which}_loss/loss']['atol']
        assert max_abs(values.detach(), expected) <= atol
        grads = {name: data[f'{which}_loss/grad/{name}'] for name in net_names(net)}
        assert_gradients_equal(net, grads)


def net_names(network):
    return [f'{name}/{kind}' for name in network.layers for kind in ('weight', 'bias')]


@pytest.mark.parametrize('scale', [1.0, 256.0])
def test_D_loss_is_this_programs(torch, scale):
    """With two groups, and any scale of the inner gradient."""
    G, D, step = paper_networks(8)
    random = np.random.RandomState(1)
    latents, reals, mixing = (a.astype(np.float32) for a in (
        random.randn(8, 8), random.uniform(-1, 1, [8, 3, 8, 8]), random.rand(8, 1, 1, 1)))
    with tf.GradientTape() as tape:
        expected = loss.D_wgangp_acgan(
            G, D, tfutil.Optimizer('TrainD'), None, 8, tf.constant(reals),
            np.zeros([8, 0], np.float32), latents=latents, mixing_factors=mixing)
        mean = tf.reduce_mean(expected)
    gradients = tape.gradient(mean, D.trainables)
    values = step.D_loss(torch.tensor(reals), step.fakes(torch.tensor(latents)).detach(),
                         torch.tensor(mixing), torch.tensor(scale))
    values.mean().backward()
    assert max_abs(values.detach(), expected) <= 1e-5 * np.abs(expected).max()
    used = {name: gradients[name].numpy() for name in net_names(step.D)}
    assert_gradients_equal(step.D, used)


def test_an_update_is_adams(torch):
    """Two updates of D against the formula, and the moving average. G does not move."""
    _, _, step = paper_networks(8)
    weights = [p.detach().double().numpy().copy() for p in step.D.parameters()]
    frozen = [p.detach().clone() for p in step.G.parameters()]
    v = [0.0] * len(weights)
    for t in (1, 2):
        for average in step.Gs.parameters():
            average.zero_()
        step.update_D(step.pixels, torch.zeros(8, 1, 1, 1, dtype=bool), torch.randn(8, 8),
                      torch.rand(8, 1, 1, 1))
        for i, p in enumerate(step.D.parameters()):
            g = p.grad.double().numpy()
            v[i] = 0.99 * v[i] + 0.01 * g ** 2
            weights[i] -= 0.001 * g / (np.sqrt(v[i] / (1 - 0.99 ** t)) + 1e-8)
            assert max_abs(p.detach(), weights[i]) <= 1e-6
    for before, now, average in zip(frozen, step.G.parameters(), step.Gs.parameters()):
        assert torch.equal(before, now) and max_abs(average, before * 0.001) <= 1e-7


def test_an_update_of_G_leaves_D_alone(torch):
    _, _, step = paper_networks(8)
    before = [p.detach().clone() for p in (*step.D.parameters(), *step.G.parameters())]
    step.update_G(torch.randn(8, 8))
    count = len(list(step.D.parameters()))
    now = [*step.D.parameters(), *step.G.parameters()]
    moved = [not torch.equal(a, b) for a, b in zip(before, now)]
    assert not any(moved[:count]) and all(moved[count:])
    assert all(p.requires_grad and p.grad is None for p in step.D.parameters())


def test_real_images_are_scaled_and_mirrored(torch):
    step = make(dict(num_channels=1, resolution=4, fmap_base=64, fmap_max=8))
    pixels = torch.arange(0, 32, dtype=torch.uint8).reshape(2, 1, 4, 4) * 8
    images = step.real_images(pixels, torch.tensor([False, True]).reshape(2, 1, 1, 1)).numpy()
    expected = pixels.numpy().astype(np.float64) / 127.5 - 1
    assert images.dtype == np.float32
    assert max_abs(images[0], expected[0]) <= 1e-6
    assert max_abs(images[1], expected[1, ..., ::-1]) <= 1e-6


@pytest.mark.parametrize('dtype, tolerance', [('bfloat16', 0.15), ('float16', 0.02)])
def test_half_precision_stays_near_float32(torch, dtype, tolerance):
    """Within a few percent of the images' scale, as in this program; weights stay float32."""
    options = dict(num_channels=3, resolution=8, fmap_base=64, fmap_max=8)
    step, half = make(options), make(options, f'--dtype={dtype}')
    half.G.load_state_dict(step.G.state_dict())
    latents = torch.randn(8, 8)
    expected, images = step.fakes(latents).detach(), half.fakes(latents).detach()
    assert images.dtype == torch.float32
    assert 0 < max_abs(images, expected) <= tolerance * expected.abs().max()
    losses = [half() for _ in range(4)]  # float16's loss scale falls to what fits in the first two
    assert all(torch.isfinite(value) for value in losses[-1])
    assert {p.dtype for p in (*half.G.parameters(), *half.D.parameters())} == {torch.float32}


# ---------------------------------------------------------------- compilation

def test_what_cannot_be_compiled_runs_eagerly(torch, monkeypatch, capsys):
    """Step by step: without the penalty, and in the end nothing compiled."""
    def fail(*_):
        raise RuntimeError('no compiler')
    options = dict(num_channels=3, resolution=4, fmap_base=64, fmap_max=8)
    for broken, level in ((None, 0), ('D_loss', 1), ('fakes', 2)):
        monkeypatch.setattr(torch, 'compile', lambda function, broken=broken, **_:
                            fail if function.__name__ == broken else function)
        step = make(options, '--compile')
        assert all(torch.isfinite(value) for value in peer_torch_step.first_step(step))
        assert step.compiled == peer_torch_step.LEVELS[level]
        assert capsys.readouterr().err.count('note: torch.compile failed') == level
    monkeypatch.setattr(torch, 'compile', lambda *_, **__: fail())
    assert make(options, '--compile').compiled == ()
    assert 'no compiler' in capsys.readouterr().err


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_a_compiled_step_is_the_eager_one(torch, dtype):
    options = dict(num_channels=3, resolution=8, fmap_base=64, fmap_max=8)
    losses = []
    for option in ('--no-compile', '--compile'):
        step = make(options, option, f'--dtype={dtype}')
        losses.append([[float(value) for value in step()] for _ in range(3)])
    assert max_abs(*losses) <= (1e-4 if dtype == 'float32' else 0.05) * np.abs(losses).max()


# ---------------------------------------------------------------- command

def test_the_command_prints_one_line(torch):
    command = [sys.executable, '-m', 'benchmarks.peer_torch_step', *TINY, '--no-compile']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result['resolution'] == 8 and result['minibatch'] == 8 and not result['compile']
    assert 0 < result['fastest'] <= result['sec_per_kimg'] and result['compile_sec'] >= 0
    assert result['compiled'] == [] and result['device'] == 'cpu' and result['device_name']
    assert result['peak_device_mb'] is None and result['torch'] == torch.__version__


def test_without_pytorch_there_is_an_error_line(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch', None)
    with pytest.raises(SystemExit, match='^error: PyTorch is not installed'):
        peer_torch_step.measure(peer_torch_step.parse_args(TINY))


def test_importing_needs_neither_library():
    code = ('import sys, benchmarks.peer_torch_step\n'
            'print(sorted({"torch", "tensorflow", "keras"} & set(sys.modules)))')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == '[]', done.stderr
