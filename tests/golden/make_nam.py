"""Makes the small NAM models of tests/golden/nam and records what they play.

Seeded weights; a textbook in NumPy, in f64, one loop for each sentence of the format. It shares nothing with Runnel.

    python make_nam.py            writes to the folder nam beside this file
"""

import json
import pathlib

import numpy as np

OUT = pathlib.Path(__file__).parent / "nam"
RATE = 48000
BLOCK = 64
random = np.random.default_rng(20221114)


def draw(*shape, gain=1.0):
    """Weights that keep a signal's level."""
    width = int(np.prod(shape[1:])) if len(shape) > 1 else 4
    return (random.uniform(-1, 1, shape) * gain * np.sqrt(3 / max(width, 1))).astype(np.float32)


# --- the textbook -----------------------------------------------------------------------------------------------------


class Row:
    """Weights in file order: drawn when a model is made, read when it is played."""

    def __init__(self, values=None):
        self.values, self.at = values, 0
        self.drawn = []

    def take(self, *shape, gain=1.0):
        if self.values is None:
            new = draw(*shape, gain=gain)
            self.drawn.append(new.ravel())
            return new.astype(np.float64)
        count = int(np.prod(shape))
        part = np.array(self.values[self.at : self.at + count], np.float32).astype(np.float64)
        assert len(part) == count, "too few weights"
        self.at += count
        return part.reshape(shape)


def conv(x, weight, bias, dilation=1, groups=1):
    """Causal, zeros before the signal. x [in, n], weight [out, in / groups, taps], oldest tap first."""
    out, per_group, taps = weight.shape
    y = np.zeros((out, x.shape[1]))
    for o in range(out):
        first = o // (out // groups) * per_group
        for i in range(per_group):
            for k in range(taps):
                back = dilation * (taps - 1 - k)
                y[o, back:] += weight[o, i, k] * x[first + i, : x.shape[1] - back]
        if bias is not None:
            y[o] += bias[o]
    return y


def activation(x, spec):
    name, options = (spec, {}) if isinstance(spec, str) else (spec["type"], spec)
    if name == "Tanh":
        return np.tanh(x)
    if name == "Hardtanh":
        return np.clip(x, -1, 1)
    if name == "Fasttanh":
        a = np.abs(x)
        top = x * (2.45550750702956 + 2.45550750702956 * a + (0.893229853513558 + 0.821226666969744 * a) * x * x)
        return top / (2.44506634652299 + (2.44506634652299 + x * x) * np.abs(x + 0.814642734961073 * x * a))
    if name == "ReLU":
        return np.maximum(x, 0)
    if name == "LeakyReLU":
        return np.where(x > 0, x, np.float32(options.get("negative_slope", 0.01)) * x)
    if name == "PReLU":
        slopes = options.get("negative_slopes", [options.get("negative_slope", 0.01)] * len(x))
        return np.where(x > 0, x, np.array(slopes, np.float32)[:, None] * x)
    if name == "Sigmoid":
        return 1 / (1 + np.exp(-x))
    if name == "SiLU":
        return x / (1 + np.exp(-x))
    if name == "Hardswish":
        return x * np.clip(x + 3, 0, 6) / 6
    if name in ("LeakyHardtanh", "LeakyHardTanh"):
        low, high = options.get("min_val", -1.0), options.get("max_val", 1.0)
        below, above = options.get("min_slope", 0.01), options.get("max_slope", 0.01)
        low, high, below, above = (float(np.float32(v)) for v in (low, high, below, above))
        return np.where(x < low, low + below * (x - low), np.where(x > high, high + above * (x - high), x))
    assert name == "Softsign", name
    return x / (1 + np.abs(x))


SLOTS = ["conv_pre_film", "conv_post_film", "input_mixin_pre_film", "input_mixin_post_film", "activation_pre_film",
         "activation_post_film", "layer1x1_post_film", "head1x1_post_film"]


def matrix(row, out, inputs, groups=1, bias=True, taps=1, gain=1.0, keep=None):
    """The next convolution; of its outputs and inputs the first `keep`."""
    weight = row.take(out, inputs // groups, taps, gain=gain)
    offset = row.take(out, gain=0.3) if bias else None
    if keep:
        weight, offset = weight[: keep[0], : keep[1]], None if offset is None else offset[: keep[0]]
    return weight, offset


def film(parts, x, condition, groups):
    weight, bias = parts
    y = conv(condition, weight, bias, groups=groups)
    scale, shift = y[: len(x)], y[len(x) :]
    return x * scale + (shift if len(shift) else 0)


def wavenet(config, row, x, size=None):
    condition = x
    if config.get("condition_dsp"):
        condition = play(config["condition_dsp"], x[0], steady=True)
    arrays = config["layers"]
    kept = []
    for a in arrays:
        allowed = a.get("slimmable", {}).get("kwargs", {}).get("allowed_channels")
        kept.append(a["channels"] if size is None or not allowed
                    else allowed[min(int(np.floor(size * len(allowed))), len(allowed) - 1)])
    whole = kept == [a["channels"] for a in arrays]
    head = None
    for number, a in enumerate(arrays):
        channels, count = a["channels"], len(a["dilations"])
        mine = kept[number]
        each = lambda value: value if isinstance(value, list) else [value] * count
        neck = a.get("bottleneck", channels)
        one = a.get("layer1x1", {"active": True, "groups": 1})
        own_neck = neck if mine == channels else (max(1, neck * mine // channels) if one["active"] else mine)
        side = a.get("head1x1", {"active": False, "groups": 1, "out_channels": channels})
        modes = each(a.get("gating_mode", "gated" if a.get("gated") else "none"))
        seconds = each(a.get("secondary_activation", "Sigmoid"))
        kernels = a.get("kernel_sizes", [a.get("kernel_size")] * count)
        inputs = x.shape[0]
        weight, _ = matrix(row, channels, a["input_size"], bias=False, keep=(mine, inputs))
        x = conv(x, weight, None)
        for n in range(count):
            halves = 1 if modes[n] == "none" else 2
            z_full, z_own, c = neck * halves, own_neck * halves, a["condition_size"]
            groups, mix_groups = a.get("groups_input", 1), a.get("groups_input_mixin", 1)
            cut = None if whole else (z_own, mine)
            w = matrix(row, z_full, channels, groups, taps=kernels[n], keep=cut)
            m = matrix(row, z_full, c, mix_groups, bias=False, keep=None if whole else (z_own, c))
            l = matrix(row, channels, neck, one["groups"], gain=0.5, keep=None if whole else (mine, own_neck)) if one["active"] else None
            h = matrix(row, side["out_channels"], neck, side["groups"], keep=None if whole else (side["out_channels"], own_neck)) if side["active"] else None
            widths = [channels, z_full, c, z_full, z_full, neck, channels, side["out_channels"]]
            own = [mine, z_own, c, z_own, z_own, own_neck, mine, side["out_channels"]]
            films = {}
            for slot, width, kept_width in zip(SLOTS, widths, own):
                f = a.get(slot) or {"active": False}
                if f.get("active", True) and (slot != "head1x1_post_film" or side["active"]):
                    factor = 2 if f.get("shift", True) else 1
                    parts = matrix(row, width * factor, c, f.get("groups", 1), keep=None if whole else (kept_width * factor, c))
                    films[slot] = lambda y, parts=parts, g=f.get("groups", 1): film(parts, y, condition, g)
            through = lambda slot, y: films[slot](y) if slot in films else y
            y = through("conv_post_film", conv(through("conv_pre_film", x), *w, a["dilations"][n], groups))
            mixed = conv(through("input_mixin_pre_film", condition), m[0], None, groups=mix_groups)
            z = through("activation_pre_film", y + through("input_mixin_post_film", mixed))
            act = each(a["activation"])[n] if isinstance(a["activation"], list) else a["activation"]
            if modes[n] == "none":
                z = activation(z, act)
            else:
                top, gate = z[:own_neck], activation(z[own_neck:], seconds[n])
                bent = activation(top, act)
                z = bent * gate if modes[n] == "gated" else gate * bent + (1 - gate) * top
            z = through("activation_post_film", z)
            part = through("head1x1_post_film", conv(z, *h, groups=side["groups"])) if h else z
            head = part if head is None else head + part
            if l:
                step = conv(z, *l, groups=one["groups"])
                # Only in this mode, though the weights are always there.
                x = x + (through("layer1x1_post_film", step) if modes[n] == "blended" else step)
        top = a.get("head") or {"out_channels": a.get("head_size"), "kernel_size": 1, "bias": a.get("head_bias")}
        outs = side["out_channels"] if side["active"] else neck
        kept_out = kept[number + 1] if not whole and number + 1 < len(arrays) else top["out_channels"]
        kept_in = side["out_channels"] if side["active"] else own_neck
        w, b = matrix(row, top["out_channels"], outs, bias=top["bias"], taps=top["kernel_size"],
                      keep=None if whole else (kept_out, kept_in))
        head = conv(head, w, b, top.get("head_dilation", 1))
    after = config.get("head")
    convs = []
    if after:
        width = arrays[-1].get("head", {}).get("out_channels") or arrays[-1]["head_size"]
        for k, taps in enumerate(after["kernel_sizes"]):
            out = after["out_channels"] if k + 1 == len(after["kernel_sizes"]) else after["channels"]
            convs.append(matrix(row, out, width, taps=taps))
            width = out
    y = head * row.take(1, gain=1.0)[0]
    for w, b in convs:
        y = conv(activation(y, after["activation"]), w, b)
    return y


def lstm(config, row, x, _size):
    hidden, before = config["hidden_size"], (RATE // 2 + BLOCK - 1) // BLOCK * BLOCK
    # Silence first: half a second in whole blocks.
    x = np.concatenate([np.zeros((x.shape[0], before)), x], axis=1)
    for layer in range(config["num_layers"]):
        width = config["input_size"] if layer == 0 else hidden
        weights, bias = row.take(4 * hidden, width + hidden, gain=1.5), row.take(4 * hidden, gain=0.3)
        h, c = row.take(hidden, gain=0.3), row.take(hidden, gain=0.3)
        y = np.zeros((hidden, x.shape[1]))
        sigmoid = lambda v: 1 / (1 + np.exp(-v))
        for n in range(x.shape[1]):
            i, f, g, o = (weights @ np.concatenate([x[:, n], h]) + bias).reshape(4, hidden)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            y[:, n] = h
        x = y
    w, b = matrix(row, 1, hidden)
    return conv(x, w, b)[:, before:]


def convnet(config, row, x, _size):
    for dilation in config["dilations"]:
        groups, channels = config.get("groups", 1), config["channels"]
        w, b = matrix(row, channels, x.shape[0], groups, bias=not config["batchnorm"], taps=2)
        x = conv(x, w, b, dilation, groups)
        if config["batchnorm"]:
            mean, variance = row.take(channels, gain=0.2), row.take(channels, gain=0.2)
            scale, offset, epsilon = row.take(channels), row.take(channels, gain=0.3), row.take(1, gain=0)
            x = (x - mean[:, None]) / np.sqrt(variance + epsilon)[:, None] * scale[:, None] + offset[:, None]
        x = activation(x, config["activation"])
    w, b = matrix(row, 1, config["channels"])
    return conv(x, w, b)


def linear(config, row, x, _size):
    response = row.take(1, 1, config["receptive_field"])
    return conv(x, response[:, :, ::-1], row.take(1, gain=0.1) if config["bias"] else None)


PLAYERS = {"WaveNet": wavenet, "LSTM": lstm, "ConvNet": convnet, "Linear": linear}


def play(model, x, size=None, steady=False):
    """What the model makes of x after a long silence."""
    if model["architecture"] == "SlimmableContainer":
        subs = model["config"]["submodels"]
        size = 1.0 if size is None else size
        return play(next((s for s in subs if size < s["max_value"]), subs[-1])["model"], x, size)
    silence = np.zeros(0 if steady or model["architecture"] == "LSTM" else 400)
    row = Row(model["weights"])
    y = PLAYERS[model["architecture"]](model["config"], row, np.concatenate([silence, x])[None], size)
    assert row.at == len(model["weights"]), "weights are left"
    return y[:, len(silence) :]


# --- the models -------------------------------------------------------------------------------------------------------


def model(architecture, config, version="0.7.0", **more):
    row = Row()
    PLAYERS[architecture](config, row, np.zeros((1, 64)), None)
    weights = np.concatenate(row.drawn)
    if architecture == "ConvNet" and config["batchnorm"]:
        weights = positive_variances(config, weights)
    # The shortest text of an f32.
    weights = [float(str(w)) for w in weights]
    return {"version": version, "architecture": architecture, "config": config, "weights": weights, "sample_rate": RATE,
            **more}


def positive_variances(config, weights):
    at, inputs, channels = 0, 1, config["channels"]
    for _ in config["dilations"]:
        at += channels * (inputs // config.get("groups", 1)) * 2 + channels
        weights[at : at + channels] = np.abs(weights[at : at + channels]) + np.float32(0.5)
        at += 3 * channels
        weights[at] = np.float32(1e-5)
        at += 1
        inputs = channels
    return weights


def old_array(inputs, channels, head_size, dilations, bias, **more):
    return {"input_size": inputs, "condition_size": 1, "head_size": head_size, "channels": channels, "kernel_size": 3,
            "dilations": dilations, "activation": "Tanh", "gated": False, "head_bias": bias, **more}


def everything():
    """Every option of the format, in two arrays after a condition of three channels."""
    on = lambda groups=1, shift=True: {"active": True, "shift": shift, "groups": groups}
    condition = model("WaveNet", {
        "layers": [{**old_array(1, 2, 3, [1, 2], True), "activation": "Softsign"}], "head": None, "head_scale": 0.5})
    first = {
        "input_size": 1, "condition_size": 3, "channels": 4, "bottleneck": 6, "kernel_size": 2, "dilations": [1, 2, 3, 1],
        "activation": ["SiLU", {"type": "PReLU", "negative_slopes": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, "Hardswish",
                       {"type": "LeakyHardtanh", "min_val": -0.4, "max_val": 0.5, "min_slope": 0.1, "max_slope": 0.2}],
        "gating_mode": ["gated", "blended", "none", "gated"],
        "secondary_activation": ["Sigmoid", "Hardtanh", None, "Fasttanh"],
        "head": {"out_channels": 6, "kernel_size": 3, "bias": False, "head_dilation": 2},
        "groups_input": 2, "groups_input_mixin": 3, "layer1x1": {"active": True, "groups": 2},
        "head1x1": {"active": True, "out_channels": 3, "groups": 3},
        "conv_pre_film": on(), "conv_post_film": on(3), "input_mixin_pre_film": on(3, False),
        "input_mixin_post_film": on(shift=False), "activation_pre_film": on(), "activation_post_film": on(),
        "layer1x1_post_film": on(), "head1x1_post_film": on()}
    second = {
        "input_size": 4, "condition_size": 3, "channels": 3, "bottleneck": 6, "kernel_sizes": [3, 1], "dilations": [1, 5],
        "activation": [{"type": "LeakyReLU", "negative_slope": 0.05}, {"type": "LeakyHardTanh"}],
        "gating_mode": "blended", "head": {"out_channels": 2, "kernel_size": 2, "bias": True},
        "layer1x1": {"active": False, "groups": 1}, "conv_pre_film": False}
    head = {"channels": 3, "out_channels": 1, "kernel_sizes": [2, 3], "activation": "ReLU"}
    return model("WaveNet", {"layers": [first, second], "head": head, "head_scale": 0.5, "condition_dsp": condition})


def main():
    (OUT / "ref").mkdir(parents=True, exist_ok=True)
    notes = {"loudness": -20.5, "input_level_dbu": 18.3, "output_level_dbu": 12.3, "name": "Golden"}
    a1 = model("WaveNet", {"layers": [old_array(1, 4, 2, [1, 2, 4], False), old_array(4, 2, 1, [8, 1], True)],
                           "head": None, "head_scale": 0.02}, "0.5.4", metadata=notes)
    memory = model("LSTM", {"num_layers": 2, "input_size": 1, "hidden_size": 5}, "0.5.2")
    slim = {"method": "slice_channels_uniform", "kwargs": {"allowed_channels": [1, 2, 4]}}
    slimmable = {"layers": [{**old_array(1, 4, 4, [1, 2], False), "slimmable": slim},
                            {**old_array(4, 4, 1, [4], True), "slimmable": slim}], "head": None, "head_scale": 0.02}
    models = {
        "a1": (a1, [None]),
        "gated": (model("WaveNet", {"layers": [old_array(1, 3, 1, [1, 2], True) | {"gated": True}], "head_scale": 1.0},
                        "0.5.0"), [None]),
        "everything": (everything(), [None]),
        "slimmable": (model("WaveNet", slimmable), [None, 0.0, 0.5]),
        "container": ({"version": "0.7.0", "architecture": "SlimmableContainer", "weights": [], "sample_rate": RATE,
                       "config": {"submodels": [{"max_value": 0.5, "model": memory}, {"max_value": 1.0, "model": a1}]}},
                      [0.0, 1.0]),
        "lstm": (memory, [None]),
        "convnet": (model("ConvNet", {"channels": 4, "dilations": [1, 2, 4], "batchnorm": True, "activation": "ReLU"},
                          "0.5.4"), [None]),
        "convnet_plain": (model("ConvNet", {"channels": 3, "dilations": [1, 3], "batchnorm": False,
                                            "activation": "Tanh"}, "0.5.4"), [None]),
        "linear": (model("Linear", {"receptive_field": 33, "bias": True, "implementation": "Fft"}), [None]),
    }
    t = np.arange(2400) / RATE
    x = (0.4 * np.sin(2 * np.pi * 220 * t) + 0.3 * random.uniform(-1, 1, len(t))).astype(np.float32)
    np.save(OUT / "ref" / "in48k.npy", x)
    for name, (made, sizes) in models.items():
        (OUT / f"{name}.nam").write_text(json.dumps(made))
        for size in sizes:
            y = play(made, x.astype(np.float64), size)[0].astype(np.float32)
            slim = "" if size is None else f".slim{size:g}"
            np.save(OUT / "ref" / f"{name}{slim}.numpy.npy", y)
            print(f"{name}{slim}: {len(made['weights'])} weights, {np.abs(y).max():.3g} peak, {y[0]:.3g} first")
    folder = OUT / "folder2022"
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({k: a1[k] for k in ("architecture", "config")} | {"version": "0.4.0"}))
    np.save(folder / "weights.npy", np.array(a1["weights"], np.float32))
    np.save(OUT / "ref" / "folder2022.numpy.npy", np.load(OUT / "ref" / "a1.numpy.npy"))


main()
