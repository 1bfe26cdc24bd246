"""Training step of the PyTorch package pro-gan-pth, as a worker of `benchmarks.peers`.

The virtual environment of `benchmarks.peers` runs it: python peer_pro_gan_pth.py RESOLUTION
MINIBATCH

It uses the package's networks, WGAN-GP loss and moving average, in the order of its own training
loop: D's update, the average, G's update, each with a check for non-finite gradients. That loop
itself is not used because it needs packages that do not affect speed.
"""
import copy
import math
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent)]


def make_round(resolution, minibatch):
    """Function of one D and one G update at a resolution of a 32x32 network."""
    import torch
    from pro_gan_pytorch import custom_layers, losses, networks
    # Current torch versions expect one more argument than the package passes. No padding is needed.
    layer = custom_layers.EqualizedConvTranspose2d
    layer._output_padding = lambda self, *_, **__: self.output_padding
    torch.manual_seed(1)
    depth = int(math.log2(resolution))
    G, D = networks.Generator(depth=5,
                              latent_size=512), networks.Discriminator(depth=5, latent_size=512)
    average = copy.deepcopy(G)
    loss = losses.WganGP()
    G_opt, D_opt = (torch.optim.Adam(net.parameters(), lr=0.001, betas=(0.0, 0.99), eps=1e-8)
                    for net in (G, D))
    reals = torch.randn(minibatch, 3, resolution, resolution)

    def apply(net, optimizer, value):
        optimizer.zero_grad()
        value.backward()
        if all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None):
            optimizer.step()
        return value.item()

    def one_round():
        fakes = G(torch.randn(minibatch, 512), depth, 1.0).detach()
        apply(D, D_opt, loss.dis_loss(D, reals, fakes, depth, 1.0))
        custom_layers.update_average(average, G, 0.999)
        apply(G, G_opt,
              loss.gen_loss(D, reals, G(torch.randn(minibatch, 512), depth, 1.0), depth, 1.0))
    return one_round


if __name__ == '__main__':
    import common
    common.only_results_on_stdout()
    import torch
    step, size = make_round(int(sys.argv[1]), int(sys.argv[2])), int(sys.argv[2])
    step()
    rounds = max(1, math.ceil(0.2 / common.timed(step)))
    common.serve(
        lambda _: dict(sec_per_kimg=common.timed(lambda: [step() for _ in range(rounds)]) /
                       (rounds * size) * 1000), torch=torch.__version__)
