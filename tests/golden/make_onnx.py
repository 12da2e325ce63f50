#!/usr/bin/env python3
"""Makes the ONNX fixtures in tests/golden/onnx: small models of our own seeded weights, from both of PyTorch's exporters
and written by hand, and what onnxruntime makes of a recorded input embedded in silence.

    pip install torch==2.9.1 onnx onnxruntime onnxscript safetensors numpy
    tests/golden/make_onnx.py tests/golden/onnx

recorded.safetensors holds, for each model, NAME.x [channels, frames] and NAME.y [channels, frames], whose first frame is
the number in its metadata. refused/ holds models that cannot stream; tests/suite/onnx.rs says why.
"""
import os
import sys
import warnings
from fractions import Fraction

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
OUT = os.path.abspath(sys.argv[1])
FRAMES, SILENCE, MARGIN = 192, 3072, 96
recorded, firsts = {}, {}


def seeded(module):
    torch.manual_seed(0)
    for name, p in module.named_parameters():
        with torch.no_grad():
            p.copy_(torch.randn(p.shape) * (0.4 / max(1, p[0].numel()) ** 0.5 if p.dim() > 1 else 0.2))
            if name.endswith("alpha"):
                p.copy_(0.5 + torch.rand(p.shape))
    for m in module.modules():
        if isinstance(m, nn.BatchNorm1d):
            m.running_mean.uniform_(-0.5, 0.5)
            m.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(m.weight, 0.5, 1.5)
        if isinstance(m, nn.LayerNorm):
            nn.init.uniform_(m.weight, 0.5, 1.5)
    return module.eval()


def record(name, channels=1, recurrent=False, layout="bct", folder=OUT):
    """Runs the file on zeros, x, zeros; recurrent models begin at frame 0, as a stream of them does."""
    session = onnxruntime.InferenceSession(os.path.join(folder, name + ".onnx"), providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    fixed = [n for n in shape if isinstance(n, int) and n > 1024]
    before = 0 if recurrent else (fixed[0] - FRAMES) // 2 // 256 * 256 if fixed else SILENCE
    after = (fixed[0] if fixed else SILENCE + FRAMES + SILENCE) - before - FRAMES
    x = (np.random.default_rng(1).uniform(-1, 1, (channels, FRAMES))).astype(np.float32)
    whole = np.pad(x, ((0, 0), (before, after)))
    fed = {"bct": whole[None], "btc": whole.T[None], "bt": whole, "bc1t": whole[None, :, None], "tbc": whole.T[:, None], "t": whole[0]}[layout]
    told = {k.removeprefix("parameter."): float(v.split(",")[0]) for k, v in session.get_modelmeta().custom_metadata_map.items() if k.startswith("parameter.")}

    def run(fed):
        """The first output; inputs beside the first are what the metadata tells, over all frames."""
        along = fed.shape.index(max(fed.shape))
        more = {i.name: np.full([n if isinstance(n, int) else fed.shape[along] for n in i.shape], told.get(i.name, 0), np.float32) for i in session.get_inputs()[1:]}
        return session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(fed), **more})[0]

    y = run(fed)
    axis = max(range(y.ndim), key=lambda a: y.shape[a])
    y = np.moveaxis(y, axis, -1).reshape(-1, y.shape[axis])
    if fixed:
        rate = Fraction(y.shape[1], whole.shape[1]).limit_denominator(16)
    else:
        # What twice the length adds: lengths are straight lines, their offsets aside.
        along = fed.shape.index(whole.shape[1])
        longer = run(np.concatenate([fed, fed], along))
        rate = Fraction(max(longer.shape) - y.shape[1], whole.shape[1])
    first = 0 if recurrent else int(max(0, (before - MARGIN) // 64 * 64) * rate)
    zero = int(before * rate)
    end = int((before + FRAMES) * rate)
    assert np.isfinite(y).all() and np.abs(y).max() < 1e3, (name, np.abs(y).max())
    recorded[name + ".x"], recorded[name + ".y"] = x, np.ascontiguousarray(y[:, first:end]).astype(np.float32)
    firsts[name] = str(first - zero)
    print(f"{name}: {os.path.getsize(os.path.join(folder, name + '.onnx'))} bytes, y {y.shape}, peak {np.abs(y).max():.3f}")


def script(name, module, shape=(1, 1, 256), opset=17, time=2, static=False, folder=OUT, **more):
    axes = None if static else {"x": {0: "batch", time: "time"}}
    path = os.path.join(folder, name + ".onnx")
    with torch.no_grad():
        torch.onnx.export(seeded(module), (torch.randn(shape),), path, opset_version=opset, input_names=["x"], dynamic_axes=axes, dynamo=False)
    if folder == OUT:
        record(name, **more)


def dynamo(name, module, shape=(1, 1, 256), time=2, folder=OUT, multiple=1, external=False, **more):
    dim = torch.export.Dim("time", min=2, max=1 << 20)
    dim = multiple * dim if multiple > 1 else dim
    with torch.no_grad():
        program = torch.onnx.export(seeded(module), (torch.randn(shape),), dynamo=True, dynamic_shapes=({time: dim},), verbose=False)
    for node in program.model.graph:
        node.metadata_props.clear()
        node.doc_string = None
    program.model.graph.metadata_props.clear()
    path = os.path.join(folder, name + ".onnx")
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]
    del model.graph.value_info[:]
    if external:
        if os.path.exists(path + ".data"):
            os.remove(path + ".data")
        onnx.save(model, path, save_as_external_data=True, location=name + ".onnx.data", size_threshold=16)
    else:
        onnx.save(model, path)
    if folder == OUT:
        record(name, **more)


def by_hand(name, nodes, weights, shape, out, opset=17, folder=OUT, metadata=None, beside=None, **more):
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in {"x": shape, **(beside or {})}.items()],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if metadata:
        helper.set_model_props(model, metadata)
    onnx.save(model, os.path.join(folder, name + ".onnx"))
    if folder == OUT:
        record(name, **more)


rng = np.random.default_rng(7)


def w(*shape, gain=0.5, rng=rng):
    return (rng.standard_normal(shape) * gain / max(1, np.prod(shape[1:])) ** 0.5).astype(np.float32)


def i64(*values):
    return np.array(values, np.int64)


node = helper.make_node


# --- networks ---------------------------------------------------------------------------------------------------------
class Crop(nn.Module):
    def __init__(self, left, right):
        super().__init__()
        self.left, self.right = left, right

    def forward(self, x):
        return x[..., self.left: x.shape[-1] - self.right]


class Residual(nn.Module):
    def __init__(self, *net):
        super().__init__()
        self.net = nn.Sequential(*net)

    def forward(self, x):
        return x + self.net(x)


class Tcn(nn.Module):
    """Causal by cropping, as micro-TCN does: the residual is cut to what is left."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(1 if i == 0 else 6, 6, 5, dilation=3 ** i) for i in range(3))
        self.skips = nn.ModuleList(nn.Conv1d(1 if i == 0 else 6, 6, 1) for i in range(3))
        self.acts = nn.ModuleList(nn.PReLU(6) for _ in range(3))
        self.out = nn.Conv1d(6, 1, 1)

    def forward(self, x):
        for conv, skip, act in zip(self.convs, self.skips, self.acts):
            y = act(conv(x))
            s = skip(x)
            x = y + s[..., (s.shape[-1] - y.shape[-1]) // 2: (s.shape[-1] - y.shape[-1]) // 2 + y.shape[-1]]
        return torch.tanh(self.out(x))


class Snake(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x):
        return x + (self.alpha + 1e-9).reciprocal() * torch.sin(self.alpha * x).pow(2)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([nn.Conv1d(1, 4, 4, stride=2, padding=1), nn.Conv1d(4, 8, 5, stride=4, padding=2)])
        self.up = nn.ModuleList([nn.ConvTranspose1d(8, 4, 8, stride=4, padding=2), nn.ConvTranspose1d(8, 1, 4, stride=2, padding=1)])

    def forward(self, x):
        a = F.elu(self.down[0](x))
        b = F.elu(self.down[1](a))
        return self.up[1](torch.cat([F.elu(self.up[0](b)), a], 1)) + x


class Demucs(nn.Module):
    def __init__(self):
        super().__init__()
        self.encode = nn.ModuleList(nn.Sequential(nn.Conv1d(i, o, 8, 4, 2), nn.ReLU(), nn.Conv1d(o, 2 * o, 1), nn.GLU(1)) for i, o in [(1, 4), (4, 8)])
        self.decode = nn.ModuleList(nn.Sequential(nn.Conv1d(o, 2 * o, 3, padding=1), nn.GLU(1), nn.ConvTranspose1d(o, i, 8, 4, 2)) for i, o in [(4, 8), (1, 4)])

    def forward(self, x):
        skips = []
        for layer in self.encode:
            x = layer(x)
            skips.append(x)
        for i, layer in enumerate(self.decode):
            x = layer(x + skips.pop())
            x = F.relu(x) if i == 0 else x
        return x


class HifiGan(nn.Module):
    def __init__(self):
        super().__init__()
        norm = torch.nn.utils.parametrizations.weight_norm
        self.pre = norm(nn.Conv1d(5, 8, 7, padding=3))
        self.ups = nn.ModuleList([norm(nn.ConvTranspose1d(8, 6, 8, 4, 2)), norm(nn.ConvTranspose1d(6, 4, 4, 2, 1))])
        block = lambda c: nn.ModuleList(nn.Sequential(nn.LeakyReLU(0.1), norm(nn.Conv1d(c, c, k, padding=(k - 1) // 2 * d, dilation=d))) for k, d in [(3, 1), (3, 3), (7, 1), (7, 3)])
        self.blocks = nn.ModuleList([block(6), block(4)])
        self.post = norm(nn.Conv1d(4, 1, 7, padding=3))

    def forward(self, x):
        x = self.pre(x)
        for up, blocks in zip(self.ups, self.blocks):
            x = up(F.leaky_relu(x, 0.1))
            x = sum(x + block(x) for block in blocks) / len(blocks)
        return torch.tanh(self.post(F.leaky_relu(x)))


class ConvNext(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dw, self.norm = nn.Conv1d(c, c, 7, padding=3, groups=c), nn.LayerNorm(c, eps=1e-6)
        self.up, self.down = nn.Linear(c, 3 * c), nn.Linear(3 * c, c)
        self.gamma = nn.Parameter(torch.ones(c))

    def forward(self, x):
        y = self.norm(self.dw(x).transpose(1, 2))
        return x + (self.gamma * self.down(F.gelu(self.up(y)))).transpose(1, 2)


class Vocos(nn.Module):
    def __init__(self, approximate=None):
        super().__init__()
        self.embed, self.norm = nn.Conv1d(4, 8, 7, padding=3), nn.LayerNorm(8)
        self.blocks = nn.Sequential(ConvNext(8), ConvNext(8))
        self.head = nn.Linear(8, 6)

    def forward(self, x):
        x = self.norm(self.embed(x).transpose(1, 2)).transpose(1, 2)
        return self.head(self.blocks(x).transpose(1, 2)).transpose(1, 2)


class CausalPad(nn.Module):
    def __init__(self, conv, mode="constant"):
        super().__init__()
        self.conv, self.mode = conv, mode

    def forward(self, x):
        pad = (self.conv.kernel_size[0] - 1) * self.conv.dilation[0] + 1 - self.conv.stride[0]
        frames = (x.shape[-1] - self.conv.kernel_size[0] + pad) / self.conv.stride[0] + 1
        return self.conv(F.pad(x, (pad, 0), mode=self.mode))


class Encodec(nn.Module):
    def __init__(self):
        super().__init__()
        c = lambda *a, **k: CausalPad(nn.Conv1d(*a, **k), "reflect")
        self.encoder = nn.Sequential(c(1, 4, 7), Residual(nn.ELU(), c(4, 2, 3), nn.ELU(), c(2, 4, 1)), nn.ELU(), c(4, 8, 4, stride=2), nn.ELU(), c(8, 8, 8, stride=4))
        self.lstm = None
        self.up = nn.ConvTranspose1d(8, 4, 8, stride=4)
        self.up2 = nn.ConvTranspose1d(4, 1, 4, stride=2)

    def forward(self, x):
        z = self.encoder(x)
        y = self.up(F.elu(z))
        y = y[..., : y.shape[-1] - 4]
        y = self.up2(F.elu(y))
        return y[..., : y.shape[-1] - 2]


class Dac(nn.Module):
    def __init__(self):
        super().__init__()
        unit = lambda c, d: Residual(Snake(c), nn.Conv1d(c, c, 7, dilation=d, padding=3 * d), Snake(c), nn.Conv1d(c, c, 1))
        self.net = nn.Sequential(nn.Conv1d(1, 4, 7, padding=3), unit(4, 1), unit(4, 3), Snake(4), nn.Conv1d(4, 8, 4, stride=2, padding=1),
                                 Snake(8), nn.ConvTranspose1d(8, 4, 4, stride=2, padding=1), unit(4, 1), Snake(4), nn.Conv1d(4, 1, 7, padding=3), nn.Tanh())

    def forward(self, x):
        return self.net(x)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.pre = nn.Conv1d(1, 4, 1)
        self.filters = nn.ModuleList(nn.Conv1d(4, 8, 2, dilation=2 ** i) for i in range(4))
        self.mixes = nn.ModuleList(nn.Conv1d(4, 8, 1) for i in range(4))
        self.post = nn.Conv1d(4, 1, 1)

    def forward(self, x):
        x, total = self.pre(x), 0
        for i, (conv, mix) in enumerate(zip(self.filters, self.mixes)):
            f, g = conv(F.pad(x, (2 ** i, 0))).chunk(2, 1)
            r, s = mix(torch.tanh(f) * torch.sigmoid(g)).split(4, 1)
            x, total = x + r, total + s
        return self.post(F.relu(total))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.conv, self.rnn, self.out = nn.Conv1d(1, 4, 5, padding=2, bias=False), kind(4, 6, batch_first=True), nn.Conv1d(6, 1, 3, padding=1)

    def forward(self, x):
        return self.out(self.rnn(self.conv(x).transpose(1, 2))[0].transpose(1, 2))


class Fn(nn.Module):
    """A function between two convolutions."""

    def __init__(self, f, channels=4, inner=None, inputs=1, kernel=3):
        super().__init__()
        self.a = nn.Conv1d(inputs, channels, kernel, padding=kernel // 2)
        self.b = nn.LazyConv1d(2, 3, padding=1)
        self.f = f
        with torch.no_grad():
            self.b(self.f(self.a(torch.zeros(1, inputs, 256))))

    def forward(self, x):
        return self.b(self.f(self.a(x)))


def shuffle_up(x, r=3):
    b, c, t = x.shape
    return x.reshape(b, c // r, r, t).permute(0, 1, 3, 2).reshape(b, c // r, t * r)


def shuffle_down(x, r=4):
    b, c, t = x.shape
    return x.reshape(b, c, t // r, r).permute(0, 1, 3, 2).reshape(b, c * r, t // r)


def shuffle_down_frames_first(x, r=4):
    b, c, t = x.shape
    return x.reshape(b, c, t // r, r).permute(0, 3, 1, 2).reshape(b, c * r, t // r)


def layer_norm_by_hand(x):
    mean = x.mean(1, keepdim=True)
    var = (x - mean).pow(2).mean(1, keepdim=True)
    return (x - mean) / torch.sqrt(var + 1e-5)


def rms_by_hand(x):
    return x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6)


def streams():
    script("tcn", Tcn())
    dynamo("tcn_dynamo", Tcn())
    rave_encoder = lambda: nn.Sequential(nn.Conv1d(1, 6, 7, padding=3, bias=False), nn.BatchNorm1d(6), nn.LeakyReLU(0.2), nn.Conv1d(6, 12, 9, stride=4, padding=4), nn.BatchNorm1d(12), nn.LeakyReLU(0.2), nn.Conv1d(12, 16, 5, stride=2, padding=2), nn.LeakyReLU(0.2), nn.Conv1d(16, 3, 5, padding=2))
    script("encoder", rave_encoder())
    dynamo("encoder_dynamo", rave_encoder(), multiple=8)
    script("decoder", nn.Sequential(nn.Conv1d(3, 12, 3, padding=1), nn.LeakyReLU(0.2), nn.ConvTranspose1d(12, 8, 8, stride=4, padding=2), Residual(nn.LeakyReLU(0.2), nn.Conv1d(8, 8, 3, padding=3, dilation=3), nn.LeakyReLU(0.2), nn.Conv1d(8, 8, 1)), nn.LeakyReLU(0.2), nn.ConvTranspose1d(8, 4, 4, stride=2, padding=1), nn.Conv1d(4, 1, 7, padding=3), nn.Tanh()), shape=(1, 3, 64), channels=3)
    script("unet", UNet())
    dynamo("unet_dynamo", UNet(), multiple=8)
    script("demucs", Demucs())
    script("hifigan", HifiGan(), shape=(1, 5, 64), channels=5)
    dynamo("hifigan_dynamo", HifiGan(), shape=(1, 5, 64), channels=5)
    script("vocos_11", Vocos(), shape=(1, 4, 64), channels=4, opset=11)
    script("vocos", Vocos(), shape=(1, 4, 64), channels=4)
    dynamo("vocos_dynamo", Vocos(), shape=(1, 4, 64), channels=4)
    script("encodec", Encodec())
    dynamo("encodec_dynamo", Encodec(), multiple=8)
    script("dac", Dac())
    script("dac_12", Dac(), opset=12)
    dynamo("dac_dynamo", Dac(), multiple=2)
    script("gru", Recurrent(nn.GRU), recurrent=True)
    script("lstm", Recurrent(nn.LSTM), recurrent=True)
    script("gru_15", Recurrent(nn.GRU), recurrent=True, opset=15)
    mobile = lambda: nn.Sequential(*(layer for i, o, s in [(1, 6, 1), (6, 8, 2), (8, 8, 1)] for layer in (nn.Conv1d(i, i, 3, stride=s, padding=1, groups=i, bias=False), nn.BatchNorm1d(i), nn.ReLU6(), nn.Conv1d(i, o, 1), nn.BatchNorm1d(o), nn.Hardswish())))
    script("mobilenet", mobile())
    script("wavenet", Gated())
    dynamo("wavenet_dynamo", Gated())

    class Rates(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv1d(1, 4, 6, stride=2, padding=2), nn.Conv1d(1, 4, 9, stride=3, padding=3)
            self.ua, self.ub = nn.ConvTranspose1d(4, 2, 6, stride=2, padding=2), nn.ConvTranspose1d(4, 2, 9, stride=3, padding=3)

        def forward(self, x):
            return torch.cat([self.ua(torch.tanh(self.a(x))), self.ub(torch.relu(self.b(x)))], 1) + x

    script("rates", Rates(), shape=(1, 1, 192))
    script("odd_strides", nn.Sequential(nn.Conv1d(1, 3, 5, stride=3, padding=1), nn.Tanh(), nn.Conv1d(3, 5, 7, stride=2, padding=3), nn.ConvTranspose1d(5, 3, 6, stride=2, padding=2), nn.Tanh(), nn.ConvTranspose1d(3, 1, 7, stride=3, padding=2)))
    script("kernel_below_stride", nn.Sequential(nn.Conv1d(1, 3, 2, stride=4), nn.Tanh(), nn.ConvTranspose1d(3, 1, 3, stride=4, output_padding=1)))
    script("output_padding", nn.ConvTranspose1d(1, 2, 5, stride=3, padding=1, output_padding=1))
    script("transposed_dilated", nn.ConvTranspose1d(1, 2, 3, stride=2, padding=2, dilation=2, output_padding=1))
    script("valid", nn.Sequential(nn.Conv1d(1, 4, 5), nn.ReLU(), nn.Conv1d(4, 2, 3, dilation=2)))
    script("crop", Residual(nn.ConstantPad1d((7, 2), 0.0), nn.Conv1d(1, 1, 10)))
    script("grouped", nn.Sequential(nn.Conv1d(4, 8, 3, groups=4, padding=1), nn.Conv1d(8, 4, 3, groups=2, padding=1)), shape=(1, 4, 64), channels=4)
    script("pad_modes", nn.Sequential(nn.ReflectionPad1d((3, 1)), nn.Conv1d(1, 3, 5), nn.ReplicationPad1d((2, 4)), nn.Conv1d(3, 2, 7)))
    script("pad_negative", nn.Sequential(nn.Conv1d(1, 3, 5, padding=4), nn.ConstantPad1d((-3, -1), 0.0)))
    script("average_pool", nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.AvgPool1d(4, 2, padding=1), nn.AvgPool1d(3, 1, padding=1, count_include_pad=False)))
    script("max_pool", nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.MaxPool1d(3, 2, padding=1), nn.Conv1d(4, 2, 3, padding=1)))
    script("upsample_nearest", Fn(lambda x: F.interpolate(x, scale_factor=3, mode="nearest")))
    script("upsample_linear", Fn(lambda x: F.interpolate(x, scale_factor=4, mode="linear", align_corners=False)))
    script("upsample_sizes", Fn(lambda x: F.interpolate(x, size=x.shape[-1] * 2, mode="linear", align_corners=False)))
    script("downsample_linear", Fn(lambda x: F.interpolate(x, scale_factor=0.5, mode="linear", align_corners=False)))
    script("shuffle", Fn(shuffle_up, channels=6))
    script("unshuffle", Fn(shuffle_down))
    script("unshuffle_frames_first", Fn(shuffle_down_frames_first))
    dynamo("shuffle_dynamo", Fn(shuffle_up, channels=6))
    dynamo("unshuffle_dynamo", Fn(shuffle_down), multiple=4)
    script("layer_norm_by_hand", Fn(layer_norm_by_hand))
    script("rms_by_hand", Fn(rms_by_hand))
    for name, f in {
        "elu": F.elu, "selu": F.selu, "celu": lambda x: F.celu(x, 0.7), "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu, "mish": F.mish, "softplus": F.softplus, "softsign": F.softsign, "hardsigmoid": F.hardsigmoid, "hardswish": F.hardswish,
        "clip": lambda x: x.clamp(-0.2, 0.3), "relu6": F.relu6,
        "functions": lambda x: torch.exp(-x.abs()) + torch.log(x.abs() + 1) + torch.sqrt(x * x + 0.1) + torch.cos(3 * x) + 1 / (x.pow(2) + 1) + (x.abs() + 0.1) ** 1.7 + torch.erf(x),
        "softmax": lambda x: torch.softmax(x, 1) * x, "maximum": lambda x: torch.maximum(x[:, :2], x[:, 2:]) - torch.minimum(x[:, :2], x[:, 2:]),
        "divide": lambda x: x[:, :2] / (x[:, 2:].abs() + 0.5), "swap": lambda x: torch.cat([x[:, 2:], x[:, :1], x[:, 1:2]], 1),
        "gather": lambda x: x[:, [3, 0, 2]], "flip_channels": lambda x: x.flip(1), "heads": lambda x: torch.softmax(x.reshape(1, 2, 2, -1), 2).transpose(1, 2).reshape(1, 4, -1),
        "norm_length": lambda x: F.normalize(x + 0.3, dim=1), "glu": lambda x: F.glu(x, 1), "l2": lambda x: torch.linalg.vector_norm(x, dim=1, keepdim=True) * x,
        "shift": lambda x: x[..., 2:] + x[..., :-2], "stride_slice": lambda x: x[..., 1::2], "causal_cat": lambda x: torch.cat([torch.zeros(1, 4, 3), x], 2),
        "repeat_frames": lambda x: x.repeat_interleave(2, 2), "einsum": lambda x: torch.einsum("bct,dc->bdt", x, torch.arange(12.).reshape(3, 4) / 12 - 0.4),
        "amax": lambda x: x - x.amax(1, keepdim=True),
    }.items():
        script(f"f_{name}", Fn(f), opset=18 if name in ("gelu_tanh", "mish") else 17)
    for name, f in {"gelu": F.gelu, "silu": F.silu, "softmax": lambda x: torch.softmax(x, 1) * x, "shift": lambda x: x[..., 2:] + x[..., :-2], "repeat_frames": lambda x: x.repeat_interleave(2, 2), "functions": lambda x: torch.exp(-x.abs()) + torch.sqrt(x * x + 0.1)}.items():
        dynamo(f"d_{name}", Fn(f))
    script("static", UNet(), shape=(1, 1, 4096), static=True)
    script("static_shuffle", Fn(shuffle_down), shape=(1, 1, 4096), static=True)
    script("stereo", nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.Tanh(), nn.Conv1d(4, 2, 3, padding=1)), shape=(1, 2, 64), channels=2)
    script("two_d", nn.Sequential(nn.Conv2d(1, 4, (1, 5), padding=(0, 2)), nn.ReLU(), nn.Conv2d(4, 4, (3, 3), padding=(1, 1), stride=(1, 2)), nn.ConvTranspose2d(4, 2, (1, 4), stride=(1, 2), padding=(0, 1))), shape=(1, 1, 1, 64), time=3, layout="bc1t")

    class Planes(nn.Module):
        """Channels as a second axis of a picture."""

        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 3, (3, 3), padding=(1, 1), stride=(2, 1)), nn.Conv2d(3, 2, (3, 2), padding=(0, 1), groups=1)

        def forward(self, x):
            y = self.b(torch.relu(self.a(x.unsqueeze(1))))
            return y.flatten(1, 2)[..., :-1]

    script("planes", Planes(), shape=(1, 6, 64), channels=6)

    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Conv1d(1, 3, 5, padding=2), nn.Tanh(), nn.Conv1d(3, 1, 5, padding=2))

        def forward(self, x):
            return self.net(x.unsqueeze(1)).squeeze(1)

    script("flat", Flat(), shape=(1, 64), time=1, layout="bt")
    dynamo("external", Dac(), multiple=2, external=True)

    # Keras: frames before channels, transposed around every convolution, SAME padding, bias added apart.
    weights = {"k1": w(4, 1, 1, 5), "b1": w(4), "k2": w(6, 4, 1, 4), "b2": w(6), "k3": w(6, 3, 1, 4), "b3": w(3), "g": w(6) + 1, "o": w(6), "d": w(3, 2), "db": w(2), "a3": i64(1), "a2": i64(2)}
    nodes = [
        node("Unsqueeze", ["x", "a3"], ["u"]), node("Transpose", ["u"], ["t1"], perm=[0, 3, 1, 2]),
        node("Conv", ["t1", "k1"], ["c1"], auto_pad="SAME_UPPER", strides=[1, 1]), node("Transpose", ["c1"], ["n1"], perm=[0, 2, 3, 1]),
        node("Add", ["n1", "b1"], ["h1"]), node("Elu", ["h1"], ["e1"]), node("Transpose", ["e1"], ["t2"], perm=[0, 3, 1, 2]),
        node("Conv", ["t2", "k2"], ["c2"], auto_pad="SAME_UPPER", strides=[1, 2]), node("Transpose", ["c2"], ["n2"], perm=[0, 2, 3, 1]),
        node("Add", ["n2", "b2"], ["h2"]), node("Mul", ["h2", "g"], ["h3"]), node("Add", ["h3", "o"], ["h4"]), node("Relu", ["h4"], ["e2"]),
        node("Transpose", ["e2"], ["t3"], perm=[0, 3, 1, 2]),
        node("ConvTranspose", ["t3", "k3"], ["c3"], auto_pad="SAME_UPPER", strides=[1, 2]), node("Transpose", ["c3"], ["n3"], perm=[0, 2, 3, 1]),
        node("Add", ["n3", "b3"], ["h5"]), node("Squeeze", ["h5", "a3"], ["s"]), node("MatMul", ["s", "d"], ["m"]), node("Add", ["m", "db"], ["y"]),
    ]
    by_hand("keras", nodes, weights, ["n", "time", 1], "y", layout="btc", metadata={"sample_rate": "48000"})
    by_hand("same_lower", [node("Conv", ["x", "k"], ["y"], auto_pad="SAME_LOWER", strides=[2])], {"k": w(2, 1, 5)}, [1, 1, "t"], "y")
    by_hand("layer_norm_op", [node("Conv", ["x", "k"], ["c"], pads=[1, 1]), node("Transpose", ["c"], ["t"], perm=[0, 2, 1]), node("LayerNormalization", ["t", "g", "b"], ["y"], axis=-1)], {"k": w(6, 1, 3), "g": w(6) + 1, "b": w(6)}, [1, 1, "t"], "y")
    by_hand("gemm", [node("Squeeze", ["x", "a"], ["s"]), node("Gemm", ["s", "m", "c"], ["g"], transB=1, alpha=0.7, beta=1.3), node("Softmax", ["g"], ["y"], axis=1)], {"a": i64(0), "m": w(5, 3), "c": w(5)}, [1, "t", 3], "y", layout="btc", channels=3)
    then = helper.make_graph([node("Mul", ["x", "half"], ["p"])], "then", [], [helper.make_tensor_value_info("p", TensorProto.FLOAT, None)])
    other = helper.make_graph([node("GlobalAveragePool", ["x"], ["q"])], "else", [], [helper.make_tensor_value_info("q", TensorProto.FLOAT, None)])
    by_hand("folded_if", [node("Shape", ["x"], ["s"]), node("Gather", ["s", "two"], ["t"]), node("Greater", ["t", "two"], ["c"]), node("If", ["c"], ["y"], then_branch=then, else_branch=other)], {"two": np.array(2, np.int64), "half": np.float32(0.5)}, [1, 1, "t"], "y")
    by_hand("gru_by_hand", [node("Transpose", ["x"], ["t"], perm=[2, 0, 1]), node("GRU", ["t", "w", "r", "b"], ["g", ""], hidden_size=3, linear_before_reset=1), node("Squeeze", ["g", "a"], ["y"])], {"w": w(1, 9, 2), "r": w(1, 9, 3), "b": w(1, 18), "a": i64(1)}, [1, 2, "t"], "y", channels=2, recurrent=True)
    by_hand("halves", [node("Conv", ["x", "k"], ["y"], pads=[1, 1])], {"k": w(2, 1, 3)}, [1, 1, "t"], "y")


# --- what remembers otherwise than PyTorch's GRU and LSTM ---------------------------------------------------------------
def recurrent():
    relu = lambda i, h, batch_first: nn.RNN(i, h, nonlinearity="relu", batch_first=batch_first)
    script("rnn_tanh", Recurrent(nn.RNN), recurrent=True)
    script("rnn_relu", Recurrent(relu), recurrent=True)
    own = np.random.default_rng(8)
    draw = lambda *shape: w(*shape, rng=own)

    def layer(name, op, gates, inputs, state=None, folder=OUT, **settings):
        """A layer of 3 units on 2 channels, frames first; from `state`, where it is given."""
        weights = {"w": draw(1, 3 * gates, 2), "r": draw(1, 3 * gates, 3), "b": draw(1, 6 * gates), "a": i64(1), **({} if state is None else {"h": state})}
        nodes = [node("Transpose", ["x"], ["t"], perm=[2, 0, 1]), node(op, ["t", *inputs], ["g", ""], hidden_size=3, **settings), node("Squeeze", ["g", "a"], ["y"])]
        by_hand(name, nodes, weights, [1, 2, "t"], "y", folder=folder, channels=2, recurrent=True)

    state = np.array([[[0.9, -0.7, 0.4]]], np.float32)
    layer("gru_resets_state", "GRU", 3, ["w", "r", "b"])
    layer("gru_from_state", "GRU", 3, ["w", "r", "b", "", "h"], state, linear_before_reset=1, activations=["Sigmoid", "Tanh"])
    layer("rnn_from_state", "RNN", 1, ["w", "r", "b", "", "h"], state)
    other = os.path.join(OUT, "refused")
    layer("rnn_backwards", "RNN", 1, ["w", "r", "b"], folder=other, direction="reverse")
    layer("rnn_sigmoid", "RNN", 1, ["w", "r", "b"], folder=other, activations=["Sigmoid"])
    layer("gru_hard", "GRU", 3, ["w", "r", "b"], folder=other, activations=["HardSigmoid", "Tanh"])
    layer("gru_clipped", "GRU", 3, ["w", "r", "b"], folder=other, clip=0.5)


# --- what a player conditions -----------------------------------------------------------------------------------------
class Film(nn.Module):
    """Dilated convolutions, each scaled and moved by what two knobs say."""

    def __init__(self):
        super().__init__()
        self.knobs = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 16))
        self.convs = nn.ModuleList([nn.Conv1d(1, 4, 3), nn.Conv1d(4, 4, 3, dilation=4)])
        self.out = nn.Conv1d(4, 1, 1)

    def forward(self, x, knobs):
        films = self.knobs(knobs).view(-1, 2, 2, 4)
        for i, conv in enumerate(self.convs):
            scale, offset = films[:, i, 0], films[:, i, 1]
            reach = conv.dilation[0] * 2
            x = torch.tanh(conv(F.pad(x, (reach, 0))) * (1 + scale.unsqueeze(-1)) + offset.unsqueeze(-1))
        return self.out(x)


class Embedded(nn.Module):
    """A speaker's vector, as generators take it: through a convolution of one tap, added, and joined to every frame."""

    def __init__(self):
        super().__init__()
        self.speaker, self.pre = nn.Conv1d(3, 6, 1), nn.Conv1d(2, 6, 3, padding=1)
        self.up, self.post = nn.ConvTranspose1d(9, 3, 8, 4, 2), nn.Conv1d(3, 1, 5, padding=2)

    def forward(self, x, g):
        x = F.leaky_relu(self.pre(x) + self.speaker(g), 0.1)
        x = torch.cat([x, g.expand(-1, -1, x.shape[-1])], 1)
        return torch.tanh(self.post(F.leaky_relu(self.up(x), 0.1)))


class Down(nn.Module):
    """A knob met at a lower rate, where the knob's own frames are fewer."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv1d(1, 4, 48, 48, 0), nn.ConvTranspose1d(4, 1, 48, 48)

    def forward(self, x, depth):
        return self.up(torch.tanh(self.down(x)) * (1 - depth[:, :, None]))


class Pitched(nn.Module):
    """A second input as long as the first."""

    def __init__(self):
        super().__init__()
        self.both = nn.Conv1d(2, 4, 3, padding=1)
        self.out = nn.Conv1d(4, 1, 1)

    def forward(self, x, f0):
        return self.out(torch.sin(self.both(torch.cat([x, f0], 1))))


def conditioned():
    def export(name, module, shapes, told, **more):
        path = os.path.join(OUT, name + ".onnx")
        names = ["x", *(key for key in told)]
        axes = {key: {2: "time"} for key, shape in zip(names, shapes) if shape[-1] > 4}
        with torch.no_grad():
            torch.onnx.export(seeded(module), tuple(torch.randn(shape) for shape in shapes), path, opset_version=17, input_names=names, dynamic_axes=axes, dynamo=False)
        model = onnx.load(path)
        helper.set_model_props(model, {"parameter." + key: value for key, value in told.items()})
        onnx.save(model, path)
        record(name, **more)

    export("film", Film(), [(1, 1, 256), (1, 2)], {"knobs": "0.7, -1, 1"})
    export("speaker", Embedded(), [(1, 2, 256), (1, 3, 1)], {"g": "-0.4, -2, 2"}, channels=2)
    export("depth", Down(), [(1, 1, 480), (1, 1)], {"depth": "0.25, 0, 1"})
    export("pitch", Pitched(), [(1, 1, 256), (1, 1, 256)], {"f0": "0.3, 0, 0.5"})


# --- what cannot stream -----------------------------------------------------------------------------------------------
def refused():
    folder = os.path.join(OUT, "refused")
    os.makedirs(folder, exist_ok=True)
    go = lambda name, module, **more: script(name, module, folder=folder, **more)

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k = nn.Conv1d(1, 4, 1), nn.Conv1d(1, 4, 1)

        def forward(self, x):
            return torch.softmax(self.q(x).transpose(1, 2) @ self.k(x), -1) @ x.transpose(1, 2)

    class Circular(nn.Module):
        def forward(self, x):
            return F.pad(x, (3, 2), mode="circular")

    go("attention", Attention())
    go("instance_norm", Fn(nn.InstanceNorm1d(4)))
    go("group_norm", Fn(nn.GroupNorm(2, 4)))
    go("global_pool", Fn(lambda x: x * x.mean(2, keepdim=True)))
    go("softmax_over_time", Fn(lambda x: torch.softmax(x, 2)))
    go("bidirectional", Recurrent(lambda i, h, batch_first: nn.GRU(i, h // 2, batch_first=True, bidirectional=True)))
    go("align_corners", Fn(lambda x: F.interpolate(x, scale_factor=2, mode="linear", align_corners=True)))
    go("flip", Fn(lambda x: x.flip(2)))
    go("fixed_place", Fn(lambda x: x[..., 3:4] * x))
    go("last_frames", Fn(lambda x: x[..., -64:] if True else x))
    go("two_in_time", Fn(lambda x: torch.cat([x, x], 2)))
    go("round", Fn(torch.round))
    dynamo("positions", Fn(lambda x: F.interpolate(x, size=x.shape[-1] * 2, mode="linear", align_corners=False)), folder=folder)
    by_hand("wrap", [node("Pad", ["x", "p"], ["y"], mode="wrap")], {"p": i64(0, 0, 3, 0, 0, 2)}, [1, 1, "t"], "y", opset=19, folder=folder)
    by_hand("cumsum", [node("CumSum", ["x", "a"], ["y"])], {"a": np.array(2, np.int64)}, [1, 1, "t"], "y", folder=folder)
    by_hand("positional", [node("Add", ["x", "p"], ["y"])], {"p": w(1, 1, 512)}, [1, 1, 512], "y", folder=folder)
    by_hand("mixed_frames", [node("MatMul", ["x", "m"], ["y"])], {"m": w(512, 512)[:, :4]}, [1, 1, 512], "y", folder=folder)
    by_hand("unknown_op", [node("NonZero", ["x"], ["n"]), node("Cast", ["n"], ["y"], to=1)], {}, [1, 1, "t"], "y", folder=folder)
    by_hand("two_axes", [node("Relu", ["x"], ["y"])], {}, ["a", "b", "c"], "y", folder=folder)
    by_hand("old", [node("Relu", ["x"], ["y"])], {}, [1, 1, "t"], "y", opset=9, folder=folder)
    by_hand("lengths", [node("Conv", ["x", "k"], ["c"]), node("Add", ["x", "c"], ["y"])], {"k": w(1, 1, 5)}, [1, 1, "t"], "y", folder=folder)
    graph = helper.make_graph([node("Mul", ["x", "c"], ["y"])], "two_lengths", [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 1, size]) for n, size in (("x", "t"), ("c", "other"))], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), os.path.join(folder, "two_lengths.onnx"))
    body = helper.make_graph([node("Relu", ["v"], ["o"]), node("Identity", ["go"], ["on"])], "body", [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []), helper.make_tensor_value_info("v", TensorProto.FLOAT, None)], [helper.make_tensor_value_info("on", TensorProto.BOOL, []), helper.make_tensor_value_info("o", TensorProto.FLOAT, None)])
    by_hand("no_signal", [node("Relu", ["c"], ["y"])], {}, [1, 1, "t"], "y", folder=folder, beside={"c": [1, 2]})
    by_hand("loop", [node("Loop", ["n", "", "x"], ["y"], body=body)], {"n": np.array(3, np.int64)}, [1, 1, "t"], "y", folder=folder)


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    streams()
    conditioned()
    refused()
    recurrent()
    save_file(recorded, os.path.join(OUT, "recorded.safetensors"), metadata=firsts)
    print(len(firsts), "models")
