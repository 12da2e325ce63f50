"""Makes tests/golden/tcn: a small steerable TCN, untrained, as its authors' training saves one and as a state dict, and
what PyTorch makes of a signal with it.

    pip install torch==2.5.1 numpy safetensors && python tests/golden/make_tcn.py

`module.pt` is the whole pickled module, `state.safetensors` and `state.pt` are its state dict. `ref.safetensors` holds the
input `x`, the output `y` at condition (0, 0), and `y_steered` at `condition`. The input is padded once on the left, by the
receptive field less one, as the authors' own player does.

The classes are written from the description of the format: names, attributes and order of operations; no code is theirs.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

FOLDER = Path(__file__).parent / "tcn"
CHANNELS, KERNEL, GROWTH, BLOCKS, CONDITIONS = 5, 3, 3, 3, 2


class FiLM(nn.Module):
    def __init__(self, conditions, channels, batch_norm):
        super().__init__()
        self.num_features = channels
        self.batch_norm = batch_norm
        if batch_norm:
            self.bn = nn.BatchNorm1d(channels, affine=False)
        self.adaptor = nn.Linear(conditions, 2 * channels)

    def forward(self, x, condition):
        gain, offset = self.adaptor(condition)[:, :, None].chunk(2, dim=1)
        return (self.bn(x) if self.batch_norm else x) * gain + offset


class TCNBlock(nn.Module):
    def __init__(self, inputs, outputs, dilation, batch_norm):
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, KERNEL, dilation=dilation)
        self.film = FiLM(CONDITIONS, outputs, batch_norm)
        self.act = nn.PReLU()
        self.res = nn.Conv1d(inputs, outputs, 1, bias=False)

    def forward(self, x, condition):
        y = self.act(self.film(self.conv(x), condition))
        residual = self.res(x)
        return y + residual[:, :, -1 - y.shape[-1] : -1]


class TCN(nn.Module):
    def __init__(self, batch_norm=False):
        super().__init__()
        self.kernel_size, self.n_channels, self.dilation_growth, self.n_blocks = KERNEL, CHANNELS, GROWTH, BLOCKS
        widths = [1] + [CHANNELS] * (BLOCKS - 1) + [1]
        blocks = zip(widths, widths[1:], range(BLOCKS))
        self.blocks = nn.ModuleList(TCNBlock(i, o, GROWTH**n, batch_norm) for i, o, n in blocks)

    def forward(self, x, condition):
        for block in self.blocks:
            x = block(x, condition)
        return x


def main():
    for cls in (FiLM, TCNBlock, TCN):
        cls.__module__ = "__main__"
        setattr(sys.modules["__main__"], cls.__name__, cls)
    torch.manual_seed(4)
    FOLDER.mkdir(exist_ok=True)
    signal = 0.5 * torch.randn(1, 1, 600)
    condition = torch.tensor([[1.5, -2.0]])
    before = sum((KERNEL - 1) * GROWTH**n for n in range(BLOCKS))
    reference = {"x": signal[0], "condition": condition[0]}
    for name, batch_norm in (("module", False), ("normed", True)):
        model = TCN(batch_norm).eval()
        for block in model.blocks:
            nn.init.constant_(block.act.weight, 0.1 + 0.2 * torch.rand(()).item())
            if batch_norm:
                nn.init.normal_(block.film.bn.running_mean, std=0.3)
                nn.init.uniform_(block.film.bn.running_var, 0.3, 2.0)
        with torch.no_grad():
            padded = nn.functional.pad(signal, (before, 0))
            reference[f"{name}.y"] = model(padded, torch.zeros(1, CONDITIONS))[0]
            reference[f"{name}.y_steered"] = model(padded, condition)[0]
        torch.save(model, FOLDER / f"{name}.pt")
        if not batch_norm:
            torch.save(model.state_dict(), FOLDER / "state.pt")
            save_file(dict(model.state_dict()), FOLDER / "state.safetensors")
    save_file({name: tensor.contiguous() for name, tensor in reference.items()}, FOLDER / "ref.safetensors")


if __name__ == "__main__":
    main()
