"""Makes the seeds with PyTorch 2.5.1: small files of every kind of value that the readers know."""
import argparse, collections, datetime, io, pathlib, zipfile

import torch
from torch import nn

HERE = pathlib.Path(__file__).parent


def write(target, name, data):
    folder = HERE / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


def repacked(data, compress=False):
    """Without debug entries and alignment, so that mutations meet what is read."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        with zipfile.ZipFile(out, "w") as new:
            for name in old.namelist():
                if not name.endswith((".debug_pkl", "serialization_id")):
                    new.writestr(zipfile.ZipInfo(name), old.read(name), zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED)
    return out.getvalue()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv1d(2, 2, 3, stride=2, dilation=3, bias=False), nn.BatchNorm1d(2))
        self.up = nn.ConvTranspose1d(2, 2, 4, stride=2, padding=1)
        self.pad = (1, 2)
        self.names = ["a", "b"]
        self.scale = 0.5
        self.register_buffer("steps", torch.arange(3))
        self.register_buffer("empty", torch.zeros(0))

    def forward(self, x):
        return self.up(self.net(x)) * self.scale + self.pad[0] + len(self.names)


torch.manual_seed(0)
buffer = io.BytesIO()
torch.jit.save(torch.jit.script(Block()), buffer)
write("ts", "block.ts", repacked(buffer.getvalue()))
write("ts", "compressed.ts", repacked(buffer.getvalue(), True))
with zipfile.ZipFile(buffer) as archive:
    write("pickle", "script.pkl", archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl"))))

module = Block()
adam = torch.optim.Adam(module.parameters())
module(torch.randn(1, 2, 16)).sum().backward()
adam.step()
matrix = torch.randn(2, 3)
full = {
    "epoch": 3,
    "state_dict": module.state_dict(),
    "callbacks": {"EMA": {name: p.data.clone() for name, p in module.named_parameters()}, ("a", 1): None},
    "optimizer_states": [adam.state_dict()],
    "hyper_parameters": argparse.Namespace(
        path=pathlib.PurePosixPath("/data"), when=datetime.timedelta(1), sizes=torch.Size([1]), kind=torch.float16,
        counts=collections.Counter("ab"), groups=collections.defaultdict(list, a=[1]), big=1 << 70, blob=b"abc",
        z=1 + 2j, some={1, 2}, device=torch.device("cpu"), inf=float("inf"),
    ),
}
kinds = {
    str(dtype): torch.ones(2, 2).to(dtype).T
    for dtype in (torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.int16, torch.int8,
                  torch.uint8, torch.bool)
}
kinds |= {"view": matrix.T, "expanded": matrix[:1].expand(4, 3), "scalar": matrix[1, 2], "parameter": nn.Parameter(matrix)}
for name, content, protocol in [("full", full, 2), ("full4", full, 4), ("kinds", kinds, 2)]:
    buffer = io.BytesIO()
    torch.save(content, buffer, pickle_protocol=protocol)
    write("ckpt", f"{name}.ckpt", repacked(buffer.getvalue()))
    with zipfile.ZipFile(buffer) as archive:
        write("pickle", f"{name}.pkl", archive.read("archive/data.pkl"))

write("gin", "operative.gin", rb"""from __gin__ import dynamic_registration
import cached_conv as cc

# Macros:
CAPACITY = 96
RATIOS = [4, 4, (2, 1.5e-07), None]

discriminator.Combine.discriminators = \
    [@a.Period,  # two
     @scope/a.Scale()]
variational/blocks.EncoderV2.ratios = %RATIOS
model.RAVE.weights = {'feature': 20, "text": ('a' "\n\x41"), 'flag': True}
N/macro.value = -3
""")
