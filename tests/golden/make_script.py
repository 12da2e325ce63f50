#!/usr/bin/env python3
"""Makes the TorchScript fixtures in tests/golden/script: small models of our own seeded weights, with the buffers that a
host of nn~ models looks for (METHOD_params: channels and ratio, in and out), and what PyTorch makes of a recorded input
embedded in silence.

    pip install torch==2.5.1 safetensors numpy
    tests/golden/make_script.py tests/golden/script

recorded.safetensors holds, for each model, NAME.x [channels, frames] and NAME.y [channels, frames], whose first frame is
the number in its metadata. refused/ holds models that cannot stream; tests/suite/script.rs says why.
"""
import os
import sys
from fractions import Fraction
from typing import Dict, List, Tuple

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F

OUT = os.path.abspath(sys.argv[1])
FRAMES, SILENCE, MARGIN = 192, 3072, 96
recorded, firsts = {}, {}


def seeded(module):
    torch.manual_seed(0)
    for p in module.parameters():
        with torch.no_grad():
            p.copy_(torch.randn(p.shape) * (0.4 / max(1, p[0].numel()) ** 0.5 if p.dim() > 1 else 0.2))
    for m in module.modules():
        if isinstance(m, nn.BatchNorm1d):
            m.running_mean.uniform_(-0.5, 0.5)
            m.running_var.uniform_(0.5, 1.5)
    return module.eval()


class Model(nn.Module):
    """A module with a method table."""

    def method(self, name, *numbers):
        self.register_buffer(name + "_params", torch.tensor(numbers))
        return self


def export(name, module, channels=1, folder=OUT, traced=False, record=True, recurrent=False):
    module = seeded(module)
    script = torch.jit.trace(module, torch.zeros(1, channels, 256)) if traced else torch.jit.script(module)
    torch.jit.save(script, os.path.join(folder, name + ".ts"))
    if not record:
        return
    torch.manual_seed(1)
    x = torch.randn(channels, FRAMES) * 0.5
    before = 0 if recurrent else SILENCE
    fed = F.pad(x, (before, SILENCE))[None]
    with torch.no_grad():
        y = script(fed)[0].numpy()
        rate = Fraction(y.shape[1], fed.shape[2]).limit_denominator(16)
    first = 0 if recurrent else int(max(0, (before - MARGIN) // 64 * 64) * rate)
    zero, end = int(before * rate), int((before + FRAMES) * rate)
    assert np.isfinite(y).all() and np.abs(y).max() < 1e3, name
    recorded[name + ".x"], recorded[name + ".y"] = x.numpy(), np.ascontiguousarray(y[:, first:end])
    firsts[name] = str(first - zero)


# --- what streams -----------------------------------------------------------------------------------------------------
class Block(nn.Module):
    def __init__(self, channels, dilation):
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.norm = nn.BatchNorm1d(channels)
        self.act = nn.PReLU(channels)

    def forward(self, x):
        return x + self.act(self.norm(self.conv(x)))


class Tcn(Model):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv1d(1, 6, 1)
        self.blocks = nn.Sequential(*[Block(6, 2**i) for i in range(4)])
        self.tail = nn.Conv1d(6, 1, 1)
        self.method("forward", 1, 1, 1, 1)

    def forward(self, x):
        return torch.tanh(self.tail(self.blocks(self.head(x))))


class Autoencoder(Model):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv1d(2, 8, 8, 4, 2), nn.LeakyReLU(0.2), nn.Conv1d(8, 6, 8, 4, 2))
        self.up = nn.Sequential(nn.ConvTranspose1d(3, 8, 8, 4, 2), nn.ELU(), nn.ConvTranspose1d(8, 2, 8, 4, 2))
        self.register_buffer("basis", torch.eye(3).flip(0) * 0.7)
        self.register_buffer("mean", torch.tensor([0.1, -0.2, 0.3]))
        self.sr = 48000
        self.method("encode", 2, 1, 3, 16).method("decode", 3, 16, 2, 1).method("forward", 2, 1, 2, 1)

    @torch.jit.export
    def encode(self, x):
        mean, scale = self.down(x).chunk(2, 1)
        z = mean + 0.1 * torch.sigmoid(scale)
        return F.conv1d(z - self.mean[:, None], self.basis[..., None])

    @torch.jit.export
    def decode(self, z):
        z = F.conv1d(z, self.basis.t().unsqueeze(-1)) + self.mean.unsqueeze(-1)
        return torch.tanh(self.up(z))

    def forward(self, x):
        return self.decode(self.encode(x))


class Gate(nn.Module):
    def __init__(self, dilation):
        super().__init__()
        self.dilation = dilation
        self.conv = nn.Conv1d(4, 8, 2, dilation=dilation)
        self.mix = nn.Conv1d(4, 4, 1)

    def forward(self, x) -> Tuple[torch.Tensor, torch.Tensor]:
        a, b = torch.chunk(self.conv(F.pad(x, [self.dilation, 0])), 2, dim=1)
        y = torch.tanh(a) * torch.sigmoid(b)
        return x + self.mix(y), y


class WaveNet(Model):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv1d(1, 4, 1)
        self.gates = nn.ModuleList([Gate(d) for d in (1, 2, 4, 1)])
        self.tail = nn.Conv1d(16, 1, 1)
        self.method("forward", 1, 1, 1, 1)

    def forward(self, x):
        x = self.head(x)
        skips: List[torch.Tensor] = []
        for gate in self.gates:
            x, skip = gate(x)
            skips.append(skip)
        return self.tail(torch.relu(torch.cat(skips, 1)))


class Recurrent(Model):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.out = nn.Linear(5, 1)
        self.method("forward", 1, 1, 1, 1)

    def forward(self, x):
        y, _ = self.layer(x.transpose(1, 2))
        return self.out(y).transpose(1, 2) + x


class FromState(Recurrent):
    """Begins with a state of its own, which no training left at zero."""

    def __init__(self, layer):
        super().__init__(layer)
        self.state = nn.Parameter(torch.zeros(layer.num_layers, 1, 5))

    def forward(self, x):
        y, _ = self.layer(x.transpose(1, 2), torch.tanh(3 * self.state))
        return self.out(y).transpose(1, 2) + x


class Attributes(Model):
    """A host's attributes as nn_tilde holds them, in tuples; lists, loops, conditions and strings around them."""

    gain: Tuple[float]
    steps: Tuple[int]
    bright: Tuple[bool]

    def __init__(self):
        super().__init__()
        self.gain, self.steps, self.bright = (0.75,), (3,), (True,)
        self.conv = nn.Conv1d(1, 1, 5, padding=2)
        self.method("forward", 1, 1, 1, 1)

    @torch.jit.export
    def get_gain(self) -> float:
        return self.gain[0]

    @torch.jit.export
    def set_gain(self, gain: float) -> int:
        self.gain = (gain,)
        return 0

    def forward(self, x):
        if x.size(1) != 1:
            raise ValueError("one channel, not {}".format(x.size(1)))
        factors: List[float] = []
        i = 0
        while i < self.steps[0]:
            factors.append(self.gain[0] / float(i + 1))
            i += 1
        for factor in factors:
            x = x + factor * self.conv(x)
        if self.bright[0]:
            x = x - 0.5 * F.pad(x, (1, 0))[..., :-1]
        return x


class Effects(Model):
    """As nn_tilde exports effects: several methods, none of them forward, and attributes with their buffers."""

    above: Tuple[float]
    drive: Tuple[float]
    factors: Tuple[float, float, float]
    mode: Tuple[str]

    def __init__(self):
        super().__init__()
        self.above, self.drive, self.factors, self.mode = (0.7,), (1.5,), (0.8, -0.3, 0.0), ("soft",)
        for name, codes in {"above": [2], "drive": [2], "factors": [2, 2, 2], "mode": [3]}.items():
            self.register_buffer(name + "_params", torch.tensor(codes))
        self.method("shape", 1, 1, 1, 1).method("choose", 1, 1, 1, 1).method("sides", 2, 1, 2, 1)

    @torch.jit.export
    def set_drive(self, drive: float) -> int:
        self.drive = (drive,)
        return 0

    @torch.jit.export
    def set_factors(self, a: float, b: float, c: float) -> int:
        self.factors = (a, b, c)
        return 0

    @torch.jit.export
    def shape(self, x):
        y = torch.zeros_like(x)
        for i in range(3):
            y += self.factors[i] * x.pow(i + 1)
        if self.mode[0] == "soft":
            return torch.tanh(y * float(self.drive[0]))
        return torch.clamp(y, -1, 1)

    @torch.jit.export
    def choose(self, x):
        if self.above[0] > 0.5:
            return x * (1.0 - self.drive[0] / 4.0)
        return -x

    @torch.jit.export
    def sides(self, x):
        left, right = x[..., 0, :], x[..., 1, :]
        return torch.stack([(left + right) / 2, (left - right) / 2], dim=-2)


def effects():
    script = torch.jit.script(Effects().eval())
    torch.jit.save(script, os.path.join(OUT, "effects.ts"))
    torch.manual_seed(1)
    x = torch.randn(1, FRAMES) * 0.5
    recorded["effects.x"], recorded["effects.shape"] = x.numpy(), script.shape(x[None])[0].numpy()
    script.set_drive(0.5)
    script.set_factors(0.25, 0.5, -0.75)
    recorded["effects.moved"] = script.shape(x[None])[0].numpy()


class Shuffle(Model):
    """Time becomes channels and time again; lengths are computed from the signal's."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 3, padding=1)
        self.method("forward", 1, 1, 2, 1)

    def forward(self, x):
        frames = x.shape[-1]
        x = x.reshape(x.shape[0], frames // 4, 4).permute(0, 2, 1)
        y = self.conv(x).flip(1).reshape(x.shape[0], 2, 4, -1)
        return y.transpose(2, 3).reshape(x.shape[0], 2, -1)[..., :frames]


class Functions(Model):
    def __init__(self):
        super().__init__()
        self.v, self.g = nn.Parameter(torch.zeros(12, 1, 3)), nn.Parameter(torch.zeros(12, 1, 1))
        self.norm = nn.LayerNorm(12)
        self.out = nn.Conv1d(6, 1, 4, padding="same")
        self.alpha = nn.Parameter(torch.ones(1, 6, 1))
        self.method("forward", 1, 1, 1, 1)

    def forward(self, x):
        y = F.conv1d(x, torch._weight_norm(self.v, self.g, 0), padding="same")
        y = self.norm(y.transpose(-1, -2)).mT
        y = F.glu(y, 1) + F.silu(y[:, :6]) - F.softplus(y[:, 6:]) * 0.3
        y = y + torch.sin(self.alpha * y).pow(2) / (self.alpha + 2.0)
        y = F.gelu(y).clamp(-0.5, 2.0) + y.abs().sqrt().mul_(0.1) + torch.zeros_like(y)
        y = y / torch.norm(y, 2, 1, keepdim=True).add(1.0)
        y = F.avg_pool1d(torch.stack([y, y.square()], 0).sum(0), 2)
        return self.out(y.repeat_interleave(2, dim=-1))


class Held(nn.Module):
    """What Neutone's wrapper holds: a pass over channels by frames, with values by name and a look behind."""

    def __init__(self):
        super().__init__()
        self.wide, self.out = nn.Conv1d(1, 4, 5), nn.Conv1d(4, 2, 1)
        self.neutone_parameter_names = ["drive", "mix"]
        self.register_buffer("numerical_params_default_values_0to1", torch.tensor([[0.75], [0.25], [0.0], [0.0]]))

    @torch.jit.export
    def is_input_mono(self) -> bool:
        return True

    @torch.jit.export
    def is_output_mono(self) -> bool:
        return False

    @torch.jit.export
    def get_native_sample_rates(self) -> List[int]:
        return [48000, 44100]

    @torch.jit.export
    def get_look_behind_samples(self) -> int:
        return self.wide.kernel_size[0] - 1

    @torch.jit.export
    def do_forward_pass(self, x, params: Dict[str, torch.Tensor]):
        wet = torch.tanh(self.wide(x[None]) * (1.0 + 3.0 * params["drive"]))
        dry = x[:, self.get_look_behind_samples():]
        return dry + params["mix"] * (self.out(wet)[0] - dry)


class SampleQueueWrapper(nn.Module):
    """Only its name and its attribute are Neutone's."""
    __module__ = "neutone_sdk.sqw"

    def __init__(self):
        super().__init__()
        self.w2w_base = Held()

    def forward(self, x):
        values = self.w2w_base.numerical_params_default_values_0to1
        params = {name: values[i] for i, name in enumerate(self.w2w_base.neutone_parameter_names)}
        return self.w2w_base.do_forward_pass(F.pad(x[0], [4, 0]), params)[None]


def streams():
    export("tcn", Tcn())
    export("autoencoder", Autoencoder(), 2)
    export("wavenet", WaveNet())
    export("gru", Recurrent(nn.GRU(1, 5, 2, batch_first=True)), recurrent=True)
    export("lstm", Recurrent(nn.LSTM(1, 5, batch_first=True)), recurrent=True)
    export("attributes", Attributes())
    export("shuffle", Shuffle())
    export("functions", Functions())
    export("neutone", SampleQueueWrapper())
    export("traced", Tcn(), traced=True)
    export("traced_shuffle", Shuffle(), traced=True)
    export("rnn", Recurrent(nn.RNN(1, 5, batch_first=True)), recurrent=True)
    export("rnn_relu_from_state", FromState(nn.RNN(1, 5, 2, nonlinearity="relu", batch_first=True)), recurrent=True)
    export("gru_from_state", FromState(nn.GRU(1, 5, 2, batch_first=True)), recurrent=True)


# --- what cannot stream -----------------------------------------------------------------------------------------------
class Refused(Model):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 3, padding=1)
        self.method("forward", 1, 1, 1, 1)


class GlobalPool(Refused):
    def forward(self, x):
        return x * torch.sigmoid(self.conv(x).mean(2, keepdim=True).sum(1, keepdim=True))


class Attention(Refused):
    def forward(self, x):
        q = self.conv(x)
        return x @ torch.softmax(q.transpose(1, 2) @ q, -1)


class InstanceNorm(Refused):
    def forward(self, x):
        return F.instance_norm(self.conv(x)).sum(1, keepdim=True)


class Flip(Refused):
    def forward(self, x):
        return x + x.flip(2)


class Cached(Refused):
    """A convolution's cache, as streaming exports have it."""

    def __init__(self):
        super().__init__()
        self.register_buffer("cache", torch.zeros(1, 1, 2))

    def forward(self, x):
        joined = torch.cat([self.cache, x], -1)
        self.cache.copy_(joined[..., -2:])
        return F.conv1d(joined, self.conv.weight).sum(1, keepdim=True)


class Counted(Refused):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x):
        self.calls.add_(1)
        return x * self.calls


class Decided(Refused):
    def forward(self, x):
        if bool(x.abs().sum() > 1.0):
            x = x * 0.5
        return x


class Endless(Refused):
    def forward(self, x):
        n = 0
        while n < 1 << 60:
            n += 1
        return x * float(n)


class Raised(Refused):
    def forward(self, x):
        if x.size(1) == 1:
            raise RuntimeError("two channels are needed")
        return x


class Table(Refused):
    def forward(self, x):
        gains = {"left": 0.5, "right": 0.25}
        return x * gains["left"]


class Liar(Refused):
    def __init__(self):
        super().__init__()
        self.method("forward", 1, 1, 1, 2)

    def forward(self, x):
        return x


class Huge(Refused):
    def forward(self, x):
        return x * torch.ones(1 << 20, 1 << 20).sum()


class Uniform(Refused):
    def forward(self, x):
        return x + torch.rand_like(x)


class Kept(Refused):
    """What was heard, in a tuple."""

    last: Tuple[torch.Tensor]

    def __init__(self):
        super().__init__()
        self.last = (torch.zeros(1),)

    def forward(self, x):
        y = x + self.last[0]
        self.last = (torch.tanh(x),)
        return y


class Worn(Refused):
    """An attribute of the host's that every call changes."""

    drive: Tuple[float]

    def __init__(self):
        super().__init__()
        self.drive = (1.0,)
        self.register_buffer("drive_params", torch.tensor([2]))

    def forward(self, x):
        self.drive = (self.drive[0] * 0.5,)
        return x * self.drive[0]


class Listed(Refused):
    """What was heard, in a list."""

    heard: List[torch.Tensor]

    def __init__(self):
        super().__init__()
        self.heard = [torch.zeros(1)]

    def forward(self, x):
        self.heard.append(x)
        return x + self.heard[0]


def refused():
    folder = os.path.join(OUT, "refused")
    os.makedirs(folder, exist_ok=True)
    go = lambda name, module: export(name, module, folder=folder, record=False)
    go("global_pool", GlobalPool())
    go("attention", Attention())
    go("instance_norm", InstanceNorm())
    go("flip", Flip())
    go("cached", Cached())
    go("counted", Counted())
    go("decided", Decided())
    go("endless", Endless())
    go("raised", Raised())
    go("table", Table())
    go("liar", Liar())
    go("huge", Huge())
    go("uniform", Uniform())
    go("kept", Kept())
    go("listed", Listed())
    go("worn", Worn())
    both = nn.GRU(1, 5, batch_first=True, bidirectional=True)
    model = Recurrent(both)
    model.out = nn.Linear(10, 1)
    go("bidirectional", model)


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    streams()
    effects()
    refused()
    save_file(recorded, os.path.join(OUT, "recorded.safetensors"), metadata=firsts)
    print(len(firsts), "models")
