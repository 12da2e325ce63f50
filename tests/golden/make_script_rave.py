#!/usr/bin/env python3
"""Makes tests/golden/script/rave_*.ts: modules of our own, named and nested as RAVE's exports are, so that they can be read
both by their classes and by their code. RAVE's own exports hold its authors' code, and are not ours to keep here.

    pip install torch==2.5.1
    PYTHONHASHSEED=0 tests/golden/make_script_rave.py tests/golden/script     (the order of constants follows it)

What a reader of the code knows by its name alone has no code worth following: those bodies say so.
"""
import os
import sys
import zipfile
from typing import List

import torch
from torch import nn
from torch.nn import functional as F

OUT = os.path.abspath(sys.argv[1])
BANDS, LATENTS, KEPT, WIDTH = 4, 4, 3, 6


class CachedConv1d(nn.Conv1d):
    """Zeros before and after, as many as its place needs."""

    def __init__(self, i, o, kernel, stride=1, dilation=1, bias=True, causal=False):
        super().__init__(i, o, kernel, stride, dilation=dilation, bias=bias)
        reach = (kernel - 1) * dilation
        left = reach if causal else reach // 2
        self._pad = (left, reach - left)

    def forward(self, x):
        x = F.pad(x, [self._pad[0], self._pad[1]])
        return F.conv1d(x, self.weight, self.bias, self.stride, [0], self.dilation, self.groups)


class AlignBranches(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x) -> List[torch.Tensor]:
        made: List[torch.Tensor] = []
        for branch in self.branches:
            made.append(branch(x))
        return made


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.aligned = AlignBranches(inner, nn.Identity())

    def forward(self, x):
        changed, kept = self.aligned(x)
        return changed + kept


class ResidualStack(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.net = AlignBranches(*branches)

    def forward(self, x):
        return torch.stack(self.net(x), 0).sum(0)


class Snake(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(width, 1))

    def forward(self, x):
        return x + torch.sin(self.alpha * x).square() / (self.alpha + 1e-9)


class DilatedUnit(nn.Module):
    def __init__(self, width, dilation, act, causal):
        super().__init__()
        wide = CachedConv1d(width, width, 3, dilation=dilation, causal=causal)
        self.net = nn.Sequential(act(width), wide, act(width), CachedConv1d(width, width, 1))

    def forward(self, x):
        return self.net(x)


class AdaptiveInstanceNormalization(nn.Module):
    __module__ = "rave.blocks"

    def __init__(self, width):
        super().__init__()
        for name, updates in (("x", 3), ("y", 2)):
            self.register_buffer("mean_" + name, 0.1 * torch.randn(4, width, 1))
            self.register_buffer("std_" + name, 1 + 0.1 * torch.rand(4, width, 1))
            self.register_buffer("num_update_" + name, torch.tensor([updates]))

    def forward(self, x):
        return x                                  # known by its name


class NoiseGeneratorV2(nn.Module):
    __module__ = "rave.blocks"

    def __init__(self, width, rows, causal):
        super().__init__()
        self.data_size, self.n_channels, self.target_size = rows, 1, 4
        self.net = nn.Sequential(CachedConv1d(width, width, 4, 2, causal=causal), nn.LeakyReLU(0.2),
                                 CachedConv1d(width, rows * 3, 4, 2, causal=causal))

    def forward(self, x):
        return self.net(x)                        # known by its name


class NoiseGenerator(NoiseGeneratorV2):
    __module__ = "rave.blocks"


def reverse_half(x):
    return x                                      # known by its name


def unit_norm_vector_to_angles(x):
    return x                                      # known by its name


def angles_to_unit_norm_vector(x):
    return x                                      # known by its name


reverse_half.__module__ = "rave.pqmf"
unit_norm_vector_to_angles.__module__ = angles_to_unit_norm_vector.__module__ = "rave.blocks"


class CachedPQMF(nn.Module):
    def __init__(self):
        super().__init__()
        self.bands = BANDS
        self.forward_conv = CachedConv1d(1, BANDS, 4 * BANDS + 1, BANDS, bias=False)
        self.inverse_conv = CachedConv1d(BANDS, BANDS, 5, bias=False)

    def forward(self, x):
        return reverse_half(self.forward_conv(x))

    @torch.jit.export
    def inverse(self, x):
        x = self.bands * self.inverse_conv(reverse_half(x))
        return x.flip(1).transpose(1, 2).reshape(x.shape[0], 1, -1)


def units(generation, act, causal):
    """What stands between two changes of rate."""
    if generation == 1:
        unit = lambda d: nn.Sequential(act(WIDTH), CachedConv1d(WIDTH, WIDTH, 3, dilation=d, causal=causal))
        return [ResidualStack(nn.Sequential(Residual(unit(1)), Residual(unit(3))), Residual(unit(2)))]
    return [Residual(DilatedUnit(WIDTH, d, act, causal)) for d in (1, 3)]


class Encoder(nn.Module):
    def __init__(self, channels, out, generation, act, causal, adain):
        super().__init__()
        norm = [nn.BatchNorm1d(WIDTH)] if generation == 1 else [AdaptiveInstanceNormalization(WIDTH)] if adain else []
        body = norm + units(2, act, causal) + [act(WIDTH), CachedConv1d(WIDTH, WIDTH, 8, 4, causal=causal)]
        self.net = nn.Sequential(CachedConv1d(channels * BANDS, WIDTH, 7, causal=causal), *body, act(WIDTH),
                                 CachedConv1d(WIDTH, out, 3, causal=causal))

    def forward(self, x):
        return self.net(x)


class EncoderV2(Encoder):
    pass


class VariationalEncoder(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, x):
        mean, scale = self.encoder(x).chunk(2, 1)
        return torch.randn_like(mean) * (F.softplus(scale) + 1e-4) + mean


class SphericalEncoder(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, x):
        return self.encoder(x)


class WasserteinEncoder(SphericalEncoder):
    pass


class EuclideanCodebook(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("embed", torch.randn(8, LATENTS))


class VectorQuantization(nn.Module):
    def __init__(self):
        super().__init__()
        self._codebook, self.project_in, self.project_out = EuclideanCodebook(), nn.Identity(), nn.Identity()


class ResidualVectorQuantization(nn.Module):
    __module__ = "rave.quantization"

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([VectorQuantization() for _ in range(2)])

    @torch.jit.export
    def encode(self, x):
        return x                                  # known by its name

    @torch.jit.export
    def decode(self, x):
        return x                                  # known by its name


class DiscreteEncoder(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.rvq = encoder, ResidualVectorQuantization()

    def forward(self, x):
        return self.rvq.encode(self.encoder(x)).float()


class Generator(nn.Module):
    def __init__(self, rows, latents, act, causal):
        super().__init__()
        self.net = nn.Sequential(CachedConv1d(latents, WIDTH, 7, causal=causal), act(WIDTH),
                                 nn.ConvTranspose1d(WIDTH, WIDTH, 8, 4, padding=2), *units(1, act, causal))
        self.synth = AlignBranches(CachedConv1d(WIDTH, rows, 7, causal=causal),
                                   CachedConv1d(WIDTH, 1, 3, causal=causal), NoiseGenerator(WIDTH, rows, causal))
        self.register_buffer("warmed_up", torch.tensor(1))

    def forward(self, x):
        wave, loud, noise = self.synth(self.net(x))
        y = torch.tanh(wave) * (2 * torch.sigmoid(loud) ** 2.3 + 1e-7)
        if bool(self.warmed_up):
            y = y + noise
        return y


class GeneratorV2(nn.Module):
    def __init__(self, rows, latents, act, causal, adain):
        super().__init__()
        norm = [AdaptiveInstanceNormalization(WIDTH)] if adain else []
        self.net = nn.Sequential(CachedConv1d(latents, WIDTH, 3, causal=causal), act(WIDTH),
                                 nn.ConvTranspose1d(WIDTH, WIDTH, 8, 4, padding=2), *norm, *units(2, act, causal),
                                 act(WIDTH))
        self.waveform_module = CachedConv1d(WIDTH, 2 * rows, 7, causal=causal)
        self.noise_module = NoiseGeneratorV2(WIDTH, rows, causal)

    def forward(self, x):
        x = self.net(x)
        carrier, gate = self.waveform_module(x).split(self.waveform_module.out_channels // 2, 1)
        return torch.tanh(carrier * torch.sigmoid(gate) + self.noise_module(x))


class ScriptedRAVE(nn.Module):
    """The whole, without what its latents are: a subclass says it."""

    def __init__(self, generation, channels, act, causal, adain=False, latents=LATENTS, kept=LATENTS, out=LATENTS):
        super().__init__()
        encoder = (Encoder if generation == 1 else EncoderV2)(channels, out, generation, act, causal, adain)
        rows = channels * BANDS
        self.channels, self.bands, self.sr, self.latent_size, self.width = channels, BANDS, 44100, kept, latents
        self.input_mode, self.output_mode = "pqmf", "pqmf"
        self.pqmf = CachedPQMF()
        self.encoder = self.latent(encoder)
        self.decoder = (Generator(rows, latents, act, causal) if generation == 1 else
                        GeneratorV2(rows, latents, act, causal, adain))
        self.register_buffer("latent_pca", torch.linalg.qr(torch.randn(latents, latents))[0])
        self.register_buffer("latent_mean", 0.2 * torch.randn(latents))
        self.register_buffer("fidelity", torch.linspace(0.9, 1, latents))
        for name, numbers in {"encode": (channels, 1, kept, 4 * BANDS), "decode": (kept, 4 * BANDS, channels, 1),
                              "forward": (channels, 1, channels, 1)}.items():
            self.register_buffer(name + "_params", torch.tensor(numbers))

    def refilled(self, z):
        missing = self.width - z.shape[1]
        if missing > 0:
            z = torch.cat([z, torch.randn(z.shape[0], missing, z.shape[-1])], 1)
        return z

    @torch.jit.export
    def encode(self, x):
        bands = self.pqmf(x.reshape(-1, 1, x.shape[-1]))
        return self.learned(self.encoder(bands.reshape(x.shape[0], self.channels * self.bands, -1)))

    @torch.jit.export
    def decode(self, z):
        y = self.decoder(self.unlearned(z))
        y = self.pqmf.inverse(y.reshape(-1, self.bands, y.shape[-1]))
        return y.reshape(z.shape[0], self.channels, -1)

    def forward(self, x):
        return self.decode(self.encode(x))


class VariationalScriptedRAVE(ScriptedRAVE):
    latent = VariationalEncoder

    def learned(self, z):
        return F.conv1d(z - self.latent_mean[:, None], self.latent_pca[..., None])[:, :self.latent_size]

    def unlearned(self, z):
        return F.conv1d(self.refilled(z), self.latent_pca.t()[..., None]) + self.latent_mean[:, None]


class WasserteinScriptedRAVE(ScriptedRAVE):
    latent = WasserteinEncoder

    def learned(self, z):
        return z

    def unlearned(self, z):
        return self.refilled(z)


class SphericalScriptedRAVE(ScriptedRAVE):
    latent = SphericalEncoder

    def learned(self, z):
        return unit_norm_vector_to_angles(z)

    def unlearned(self, z):
        return angles_to_unit_norm_vector(z)


class DiscreteScriptedRAVE(ScriptedRAVE):
    latent = DiscreteEncoder

    def learned(self, z):
        return z

    def unlearned(self, z):
        return self.refilled(self.encoder.rvq.decode(z.clamp(0, 7).long()))


def leaky(_):
    return nn.LeakyReLU(0.2)


def export(name, make):
    torch.manual_seed(0)
    model = make()
    for m in model.modules():
        if isinstance(m, nn.BatchNorm1d):
            m.running_mean.uniform_(-0.5, 0.5)
            m.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        for m in [m for m in model.modules() if isinstance(m, Snake)][1:]:     # the first as it begins, all ones
            m.alpha.uniform_(0.5, 2)
    path = os.path.join(OUT, name + ".ts")
    torch.jit.save(torch.jit.script(model.eval()), path)
    pack(path)


def pack(path):
    """Leaves out what only debuggers read; the same bytes for the same model."""
    with zipfile.ZipFile(path) as old:
        entries = [(e.filename, old.read(e)) for e in old.infolist() if not e.filename.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in entries:
            new.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    export("rave_v1", lambda: VariationalScriptedRAVE(1, 1, leaky, False, kept=KEPT, out=2 * LATENTS))
    export("rave_v2", lambda: VariationalScriptedRAVE(2, 2, Snake, True, True, kept=KEPT, out=2 * LATENTS))
    export("rave_discrete", lambda: DiscreteScriptedRAVE(2, 1, leaky, True, latents=LATENTS + 2, kept=2))
    export("rave_spherical", lambda: SphericalScriptedRAVE(2, 1, leaky, False, kept=LATENTS - 1))
    export("rave_wasserstein", lambda: WasserteinScriptedRAVE(2, 1, leaky, False, latents=LATENTS + 2))
