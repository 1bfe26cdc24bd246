"""A training step of the paper's networks in PyTorch: python -m benchmarks.peer_torch_step -h

This program's step is compared with it on GPUs. One step is one WGAN-GP update of D (paper,
Appendix A.1), one step of the moving average of G's weights, and one update of G, at a single
growth stage: no fading, no labels, no statistics. The real images are on the device as uint8; they
are scaled and mirrored there. The module runs without TensorFlow, and importing it does not import
PyTorch.

It uses PyTorch's usual optimizations:

* Memory format channels_last, cuDNN autotuning, fused Adam, multi-tensor moving average.
* Reals and fakes go through D in one evaluation. The minibatch stddev layer keeps them apart.
* TF32 by PyTorch's two switches; bfloat16 and float16 by autocast, float16 with GradScaler.
* torch.compile of four pieces: fake images, scaling of the reals, D's loss, G's loss. AOTAutograd
  cannot differentiate a compiled function twice, so the gradient penalty cannot wrap a compiled D.
  Inside a compiled function, torch.func.grad puts the inner gradient into the forward graph, and
  AOTAutograd then sees a function that is differentiated once. If a PyTorch version cannot do
  that, D's evaluation of reals and fakes is compiled and the penalty runs eagerly; if it cannot
  compile at all, all pieces run eagerly. A note on stderr reports this, and the result lists the
  compiled pieces.
* Optionally, one CUDA graph of the whole step, which avoids the launch overhead that dominates at
  small resolutions.

Prints one JSON line.
"""
import argparse
import functools
import json
import math
import statistics
import sys
import time
import types

from benchmarks.common import Parser, describe_machine, significant, timed
from pgan.nn.specs import Width
from pgan.resolutions import is_resolution, log2_of

GAIN = math.sqrt(2)  # He et al. 2015, for leaky ReLU
SMOOTHING = 0.999  # of the moving average
GROUP = 4  # of the minibatch stddev layer
GROUP_SEC = 0.5  # duration of the steps between two synchronizations
LEVELS = [  # sets of pieces to compile, from the best to the fallback that always works
    ('fakes', 'real_images', 'G_loss', 'D_loss'),
    ('fakes', 'real_images', 'G_loss', 'D_scores'),
    (),
]


def parse_args(argv=None):
    """Command line options as a namespace; exits with a message if they do not fit together."""
    parser = Parser(prog='python -m benchmarks.peer_torch_step', description=__doc__.split('\n')[0])
    yes_or_no = dict(action=argparse.BooleanOptionalAction)
    parser.add_argument('--resolution', type=int, default=32, help='of the stage, pixels')
    parser.add_argument('--fmap_base', type=int, default=8192)
    parser.add_argument('--fmap_max', type=int, default=512)
    parser.add_argument('--minibatch', type=int, default=64)
    parser.add_argument('--dtype', default='float32',
                        choices=['float32', 'tf32', 'bfloat16', 'float16'])
    parser.add_argument('--compile', default=True, help='use torch.compile', **yes_or_no)
    parser.add_argument('--cuda_graph', default=False, **yes_or_no,
                        help='replay the whole step as a CUDA graph; ignored on a CPU')
    parser.add_argument('--seconds', type=float, default=20.0,
                        help='how long to measure, after compilation and warm-up')
    parser.add_argument('--device', choices=['cuda', 'cpu'], help='default: cuda if there is one')
    args = parser.parse_args(argv)
    if not is_resolution(args.resolution):
        parser.error(f"--resolution must be a power of two, at least 4. "
                     f"Received: '{args.resolution}'")
    if args.minibatch < 1 or args.minibatch % min(GROUP, args.minibatch):
        parser.error(f"--minibatch must be below or a multiple of {GROUP}. "
                     f"Received: '{args.minibatch}'")
    return args


# ---------------------------------------------------------------- networks

def pixel_norm(x):
    """Scale feature vectors (axis 1) to unit mean square, summed in float32. Keeps the dtype."""
    import torch
    return x * torch.rsqrt(x.square().mean(1, keepdim=True, dtype=torch.float32) + 1e-8).to(x.dtype)


def four_shifts(weight):
    """Sum of the four one-pixel shifts of kernels: [..., 3, 3] to [..., 4, 4]."""
    import torch
    w = torch.nn.functional.pad(weight, (1, 1, 1, 1))
    return w[..., 1:, 1:] + w[..., 1:, :-1] + w[..., :-1, 1:] + w[..., :-1, :-1]


def minibatch_stddev(x, parts=1):
    """Append a channel with the standard deviation over groups of the minibatch (paper, section 3).

    Args:
        x: activations [N, C, H, W].
        parts: number of minibatches concatenated in x. Groups do not cross their borders.

    Returns:
        [N, C + 1, H, W], in x's dtype. The members of a group stand N / parts / group apart.

    Raises:
        ValueError: a minibatch is not a multiple of the group.
    """
    import torch
    n, c, h, w = x.shape
    group = min(GROUP, n // parts)
    if n % (parts * group):
        raise ValueError(f'minibatch {n // parts} is not a multiple of the group of {group}.')
    y = x.float().reshape(parts, group, n // parts // group, c, h, w).var(1, correction=0)
    y = (y + 1e-8).sqrt().mean((2, 3, 4)).repeat(1, group).to(x.dtype)
    return torch.cat([x, y.reshape(n, 1, 1, 1).expand(n, 1, h, w)], dim=1)


@functools.cache
def layers():
    """Namespace of the layers' classes. A function, so that the module imports without PyTorch.

    Each layer has an equalized learning rate (paper, section 4.1): weights ~ N(0, 1), multiplied by
    gain / sqrt(fan_in) at run time. Images are [N, C, H, W].
    """
    import torch
    F = torch.nn.functional

    class Equalized(torch.nn.Module):
        def __init__(self, shape, fmaps, fan_in, gain=GAIN):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.randn(shape))
            self.bias = torch.nn.Parameter(torch.zeros(fmaps))
            self.scale = gain / math.sqrt(fan_in)

        def kernel(self):
            return self.weight * self.scale

    class Dense(Equalized):
        def __init__(self, inputs, fmaps, gain=GAIN):
            super().__init__([fmaps, inputs], fmaps, inputs, gain)

        def forward(self, x):
            return F.linear(x, self.kernel(), self.bias)

    class DenseToImage(Equalized):
        def __init__(self, inputs, fmaps):
            super().__init__([fmaps * 16, inputs], fmaps, inputs, GAIN / 4)

        def forward(self, x):
            x = F.linear(x, self.kernel(), self.bias.repeat_interleave(16))
            x = x.view(len(x), -1, 4, 4)
            return x.contiguous(memory_format=torch.channels_last)

    class Conv(Equalized):
        def __init__(self, inputs, fmaps, size=3, gain=GAIN):
            super().__init__([fmaps, inputs, size, size], fmaps, size * size * inputs, gain)

        def forward(self, x):
            return F.conv2d(x, self.kernel(), self.bias, padding='same')

    class UpConv(Equalized):
        def __init__(self, inputs, fmaps):
            super().__init__([inputs, fmaps, 3, 3], fmaps, 9 * inputs)

        def forward(self, x):
            return F.conv_transpose2d(x, four_shifts(self.kernel()), self.bias, stride=2, padding=1)

    class DownConv(Conv):
        def forward(self, x):
            kernel = four_shifts(self.kernel() * 0.25)
            return F.conv2d(x, kernel, self.bias, stride=2, padding=1)

    return types.SimpleNamespace(Dense=Dense, DenseToImage=DenseToImage, Conv=Conv, UpConv=UpConv,
                                 DownConv=DownConv)


def generator_layers(top, nf, channels):
    """{name: layer} of G_paper at resolution 2^top, in the order of evaluation."""
    make = layers()
    result = {'4x4/Dense': make.DenseToImage(nf(0), nf(1)), '4x4/Conv': make.Conv(nf(1), nf(1))}
    for r in range(3, top + 1):
        result[f'{2 ** r}x{2 ** r}/Conv0_up'] = make.UpConv(nf(r - 2), nf(r - 1))
        result[f'{2 ** r}x{2 ** r}/Conv1'] = make.Conv(nf(r - 1), nf(r - 1))
    return {**result, 'ToRGB_lod0': make.Conv(nf(top - 1), channels, size=1, gain=1.0)}


def discriminator_layers(top, nf, channels):
    """{name: layer} of D_paper at resolution 2^top, in the order of evaluation."""
    make = layers()
    result = {'FromRGB_lod0': make.Conv(channels, nf(top - 1), size=1)}
    for r in range(top, 2, -1):
        result[f'{2 ** r}x{2 ** r}/Conv0'] = make.Conv(nf(r - 1), nf(r - 1))
        result[f'{2 ** r}x{2 ** r}/Conv1_down'] = make.DownConv(nf(r - 1), nf(r - 2))
    return {**result, '4x4/Conv': make.Conv(nf(1) + 1, nf(1)),
            '4x4/Dense0': make.Dense(nf(1) * 16, nf(0)),
            '4x4/Dense1': make.Dense(nf(0), 1, gain=1.0)}


@functools.cache
def networks():
    """Classes (Generator, Discriminator). A function, so that the module imports without PyTorch.

    Both take resolution, fmap_base, fmap_max and channels of the images.
    """
    import torch
    leaky = functools.partial(torch.nn.functional.leaky_relu, negative_slope=0.2)

    class Network(torch.nn.Module):
        def __init__(self, make_layers, resolution, fmap_base, fmap_max, channels):
            super().__init__()
            nf = Width(fmap_base, 1.0, fmap_max)
            top = log2_of(resolution)
            self.layers = torch.nn.ModuleDict(make_layers(top, nf, channels))

    class Generator(Network):
        def __init__(self, resolution, fmap_base, fmap_max, channels=3):
            super().__init__(generator_layers, resolution, fmap_base, fmap_max, channels)

        def forward(self, latents):
            """Latents [N, fmaps of stage 0] to images [N, C, R, R], float32."""
            *hidden, to_rgb = self.layers.values()
            x = pixel_norm(latents)
            for layer in hidden:
                x = pixel_norm(leaky(layer(x)))
            return to_rgb(x).float()

    class Discriminator(Network):
        def __init__(self, resolution, fmap_base, fmap_max, channels=3):
            super().__init__(discriminator_layers, resolution, fmap_base, fmap_max, channels)

        def forward(self, images, parts=1):
            """Images [N, C, R, R], of `parts` concatenated minibatches, to scores [N], float32."""
            *hidden, conv, dense0, dense1 = self.layers.values()
            x = images
            for layer in hidden:
                x = leaky(layer(x))
            x = leaky(conv(minibatch_stddev(x, parts)))
            return dense1(leaky(dense0(x.flatten(1))))[:, 0].float()

    return Generator, Discriminator


def load_weights(network, arrays):
    """Copy weights of this program's network of the same resolution into a peer network.

    Args:
        network: Generator or Discriminator.
        arrays: {local name: NumPy array}, e.g. of `tfutil.Network.vars` or a golden file. Layouts:
            convolution [k, k, in, out], up-convolution [k, k, out, in], dense [in, out] with the
            4x4 images in C, H, W order. Layers that the stage does not use may be among them.

    Raises:
        KeyError: an array is missing.
    """
    import torch
    with torch.no_grad():
        for name, layer in network.layers.items():
            weight = torch.tensor(arrays[f'{name}/weight'])
            layer.weight.copy_(weight.permute(3, 2, 0, 1) if weight.ndim == 4 else weight.T)
            layer.bias.copy_(torch.tensor(arrays[f'{name}/bias']))


# ---------------------------------------------------------------- the step

class Step:
    """Callable training step: one update of D, one step of the moving average, one update of G.

    Args:
        args: options of `parse_args`.
        backend: of torch.compile.
        channels: of the images.
    """

    def __init__(self, args, backend='inductor', channels=3):
        import torch
        self.args, self.backend, self.compiled = args, backend, ()
        self.device = torch.device(args.device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        shape = args.resolution, args.fmap_base, args.fmap_max, channels
        Generator, Discriminator = networks()
        self.G, self.D, self.Gs = (
            network(*shape).to(self.device, memory_format=torch.channels_last)
            for network in (Generator, Discriminator, Generator))
        self.Gs.requires_grad_(False).load_state_dict(self.G.state_dict())
        self.G_weights, self.Gs_weights = list(self.G.parameters()), list(self.Gs.parameters())
        self.G_opt, self.D_opt = (torch.optim.Adam(
            net.parameters(), lr=0.001, betas=(0.0, 0.99), eps=1e-8, fused=True,
            capturable=args.cuda_graph and self.device.type == 'cuda') for net in (self.G, self.D))
        self.G_scaler, self.D_scaler = (torch.amp.GradScaler(
            self.device.type, enabled=args.dtype == 'float16') for _ in 'GD')
        self.one = torch.ones([], device=self.device)
        size = args.minibatch, channels, args.resolution, args.resolution
        pixels = torch.randint(0, 256, size, dtype=torch.uint8, device=self.device)
        self.pixels = pixels.contiguous(memory_format=torch.channels_last)

    def compile(self, pieces):
        """Compile these methods; all others run eagerly."""
        import torch
        for name in {name for level in LEVELS for name in level}:
            self.__dict__.pop(name, None)
        for name in pieces:
            setattr(self, name, torch.compile(getattr(self, name), fullgraph=True, dynamic=False,
                                              backend=self.backend))
        self.compiled = pieces

    def __call__(self):
        """One step with new random draws. Returns the mean losses of D and G, on the device."""
        import torch
        n, latents = self.args.minibatch, self.G.layers['4x4/Dense'].weight.shape[1]
        randn, rand = (functools.partial(f, device=self.device) for f in (torch.randn, torch.rand))
        D_loss = self.update_D(self.pixels, rand(n, 1, 1, 1) < 0.5, randn(n, latents),
                               rand(n, 1, 1, 1))
        return D_loss, self.update_G(randn(n, latents))

    def update_D(self, pixels, mirrored, latents, mixing):
        """Update D, and move Gs towards G.

        Args:
            pixels: real images, uint8 [N, C, R, R].
            mirrored: which of them to mirror, bool [N, 1, 1, 1].
            latents: of the fakes, [N, latent size].
            mixing: share of the fake in the mixed images, [N, 1, 1, 1].

        Returns:
            Mean loss, a scalar tensor.
        """
        import torch
        with torch.no_grad():
            fakes, reals = self.fakes(latents), self.real_images(pixels, mirrored)
        scale = self.D_scaler.scale(self.one)
        loss = self.D_loss(reals, fakes, mixing, scale).mean()
        self._apply(loss, self.D_opt, self.D_scaler)
        with torch.no_grad():
            torch._foreach_lerp_(self.Gs_weights, self.G_weights, 1 - SMOOTHING)
        return loss.detach()

    def update_G(self, latents):
        """Update G with fakes of these latents, [N, latent size]. Returns the mean loss."""
        self.D.requires_grad_(False)  # else a compiled backward pass computes D's gradients too
        loss = self.G_loss(latents).mean()
        self._apply(loss, self.G_opt, self.G_scaler)
        self.D.requires_grad_(True)
        return loss.detach()

    @staticmethod
    def _apply(loss, optimizer, scaler):
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    def autocast(self):
        """Context of the networks' evaluations."""
        import torch
        half = self.args.dtype in ('bfloat16', 'float16')
        return torch.autocast(self.device.type, getattr(torch, self.args.dtype) if half else None,
                              enabled=half)

    # ------------------------------------------------------------ pieces that may be compiled

    def fakes(self, latents):
        """Images [N, C, R, R] of latents."""
        with self.autocast():
            return self.G(latents)

    def real_images(self, pixels, mirrored):
        """Scale uint8 to [-1, 1] in float32, and mirror some images. See `update_D`."""
        import torch
        images = pixels / 127.5 - 1
        return torch.where(mirrored, images.flip(3), images)

    def G_loss(self, latents):
        """WGAN loss per sample, [N]."""
        with self.autocast():
            return -self.D(self.G(latents))

    def D_loss(self, reals, fakes, mixing, scale):
        """WGAN-GP loss per sample, [N]: scores, gradient penalty (lambda 10, target 1), drift.

        Args:
            reals, fakes: images [N, C, R, R].
            mixing: see `update_D`.
            scale: factor of the inner gradient, so that float16 does not underflow; a scalar.
        """
        real_scores, fake_scores = self.D_scores(reals, fakes)
        norms = self.gradient_norms(reals.lerp(fakes, mixing), scale)
        return fake_scores - real_scores + 10 * (norms - 1).square() + 0.001 * real_scores.square()

    def D_scores(self, reals, fakes):
        """Scores of reals and of fakes, each [N], in one evaluation of D."""
        import torch
        with self.autocast():
            return self.D(torch.cat([reals, fakes]), parts=2).chunk(2)

    def gradient_norms(self, images, scale):
        """Norm of the gradient of D's score by each image, [N]; differentiable by D's weights."""
        import torch

        def total(x):
            with self.autocast():
                return self.D(x).sum() * scale
        if 'D_loss' in self.compiled:
            gradients = torch.func.grad(total)(images)
        else:  # torch.func costs Python time that an eager step does not hide
            images.requires_grad_(True)
            gradients, = torch.autograd.grad(total(images), images, create_graph=True)
        return (gradients.float() / scale).square().sum((1, 2, 3)).sqrt()


def make_step(args, backend='inductor', channels=3):
    """Build a training step, and set PyTorch's precision switches for its dtype.

    Args:
        args: options of `parse_args`.
        backend: of torch.compile. 'aot_eager' traces as 'inductor' does but generates no code.
        channels: of the images.

    Returns:
        Step. Calling it does one step; the first call compiles if args.compile is set.

    Raises:
        SystemExit: PyTorch is not installed, or finds no requested CUDA device.
    """
    try:
        import torch
    except ImportError as error:
        raise SystemExit(f'error: PyTorch is not installed ({error}). Install it with: '
                         f'{sys.executable} -m pip install torch') from error
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise SystemExit("error: --device is 'cuda', but PyTorch finds no CUDA device.")
    torch.backends.cuda.matmul.allow_tf32 = args.dtype != 'float32'
    torch.backends.cudnn.allow_tf32 = args.dtype != 'float32'
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(1)
    step = Step(args, backend, channels)
    try:
        step.compile(LEVELS[0] if args.compile else LEVELS[-1])
    except RuntimeError as error:  # this Python or platform has no torch.compile
        report_fallback(LEVELS[0], error)
        step.compile(LEVELS[-1])
    return step


def report_fallback(level, error):
    """Say on stderr which pieces could not be compiled, and why."""
    reason = ' '.join(str(error).split())[:300]
    print(f'note: torch.compile failed for {", ".join(level)}: {reason}', file=sys.stderr)


def first_step(step):
    """Do the first step. Pieces that cannot be compiled run eagerly, with a note on stderr."""
    import torch
    for level in LEVELS[LEVELS.index(step.compiled):]:
        step.compile(level)
        try:
            return step()
        except RuntimeError as error:  # Dynamo's and Inductor's errors are among them
            if level == LEVELS[-1] or isinstance(error, torch.OutOfMemoryError):
                raise
            step.D.requires_grad_(True)
            report_fallback(level, error)


def graphed(step, warm_up=3):
    """Record a step as one CUDA graph. Returns a function that replays it, and its losses."""
    import torch
    side = torch.cuda.Stream()  # recording requires a stream other than the default one
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(warm_up):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        losses = step()

    def replay():
        graph.replay()
        return losses
    return replay


# ---------------------------------------------------------------- measurement

def time_steps(step, synchronize, minibatch, seconds, least=3):
    """Seconds per thousand images of groups of steps; the device is synchronized after each group.

    Args:
        step: function without arguments, warmed up.
        synchronize: function that waits for the device.
        minibatch: images per step.
        seconds: total duration.
        least: number of groups, even if they take longer.
    """
    def group(steps):
        for _ in range(steps):
            step()
        synchronize()
    count = max(1, math.ceil(GROUP_SEC / timed(lambda: group(3)) * 3))
    results, start = [], time.perf_counter()
    while len(results) < least or time.perf_counter() - start < seconds:
        results.append(timed(lambda: group(count)) / (count * minibatch) * 1000)
    return results


def measure(args):
    """Build, warm up and time a step.

    Returns:
        dict of the options and sec_per_kimg (median), fastest, compile_sec (the first step),
        compiled (pieces), peak_device_mb (after the first step, in which cuDNN tries algorithms;
        None on a CPU), torch (version), device_name.
    """
    step = make_step(args)
    import torch
    cuda = step.device.type == 'cuda'
    synchronize = torch.cuda.synchronize if cuda else lambda: None
    compile_sec = timed(lambda: (first_step(step), synchronize()))
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        step()
    one_round = graphed(step) if cuda and args.cuda_graph else step
    per_kimg = time_steps(one_round, synchronize, args.minibatch, args.seconds)
    return dict(
        vars(args), device=step.device.type, sec_per_kimg=significant(statistics.median(per_kimg)),
        fastest=significant(min(per_kimg)), compile_sec=round(compile_sec, 1),
        compiled=step.compiled,
        peak_device_mb=torch.cuda.max_memory_allocated() >> 20 if cuda else None,
        torch=torch.__version__,
        device_name=torch.cuda.get_device_name() if cuda else describe_machine()['processor'])


if __name__ == '__main__':
    print(json.dumps(measure(parse_args())), flush=True)
