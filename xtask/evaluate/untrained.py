"""Makes RAVE models of the reference's full sizes, with random weights: their speed and their exactness need no training.

    untrained.py [--out FOLDER] [NAME ...]        v1, v2 and v2_small, unless some of them are named

Weights are drawn from one seed as the reference draws them, then every layer is scaled so that its output has a level
on noise; otherwise sound would die out on its way. Writes a run folder for each, as `rave train` does, which `cargo xtask
convert` and `evaluate` read. Needs the environment that `setup.sh --train` makes."""

import argparse
import sys
import warnings
from pathlib import Path

TARGET = Path(__file__).resolve().parents[2] / "target" / "evaluate"
NAMES = ["v1", "v2", "v2_small"]
SEED = 7
SAMPLES = 65_536


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="configurations of the reference")
    parser.add_argument("--out", type=Path, default=TARGET / "models", help="folder to write to")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"{', '.join(sorted(unknown))}: only {', '.join(NAMES)} are known")

    warnings.filterwarnings("ignore")
    sys.argv = sys.argv[:1]  # the reference's modules parse flags when imported
    import train

    for name in options.names or NAMES:
        model, configuration = build(train, name)
        level = calibrate(model)
        train.save(model, configuration, 0, options.out / name)
        print(f"{train.run_folder(options.out / name)}: output level {level:.3f}", flush=True)


def build(train, name):
    import torch

    torch.manual_seed(SEED)
    return train.build(f"configs/{name}.gin", [])


def calibrate(model):
    """Scales every convolution to an output of standard deviation 1, in the order in which sound meets them, and the
    one that gives the waveform to a tenth of that. Gives the RMS of the output."""
    import torch

    torch.manual_seed(SEED)
    sound = 0.2 * torch.randn(1, 1, SAMPLES)
    model.eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.train()
            module.momentum = 1.0  # the statistics of this one sound

    def scale(module, _, output):
        factor = 1.0 / (output.std() + 1e-9)
        gain = module.weight_g if hasattr(module, "weight_g") else module.weight
        gain.data.mul_(factor)
        if module.bias is not None:
            module.bias.data.mul_(factor)
        return output * factor

    kinds = (torch.nn.Conv1d, torch.nn.ConvTranspose1d)
    layers = [m for part in (model.encoder, model.decoder) for m in part.modules() if isinstance(m, kinds)]
    hooks = [layer.register_forward_hook(scale) for layer in layers]
    with torch.no_grad():
        latents = model.encode(sound)
        model.decode(latents.chunk(2, 1)[0])
        for hook in hooks:
            hook.remove()
        model.eval()
        head = waveform(model.decoder)
        (head.weight_g if hasattr(head, "weight_g") else head.weight).mul_(0.1)
        played = model.decode(model.encode(sound).chunk(2, 1)[0])
        size = model.latent_size
        model.fidelity.copy_(torch.arange(1, size + 1) / size)
        return played.pow(2).mean().sqrt().item()


def waveform(decoder):
    """The convolution whose output, bounded, is the waveform."""
    if hasattr(decoder, "synth"):
        return decoder.synth.branches[0]
    return getattr(decoder, "waveform_module", None) or decoder.net[-1]


if __name__ == "__main__":
    main()
