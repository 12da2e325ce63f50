"""Plays a streaming TorchScript export, as nn~ and other hosts of libtorch do: one thread, inference mode."""

import torch

from peer import serve


def load(model, channels, block):
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    torch.manual_seed(0)
    script = torch.jit.load(model).eval()
    return f"torch {torch.__version__}", script.forward, torch.from_numpy


with torch.inference_mode():
    serve(load)
