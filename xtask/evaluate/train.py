"""Trains a small RAVE on the clips of `clips.py --training`, with the reference's own package, and exports it.

    train.py [--clips FOLDER] [--out FOLDER] [--steps N] [--minutes M] [--threads T]

The reference's configuration `v2_small` with 16 channels in place of 48 and 16 latents in place of 128, on mono sound
at 44.1 kHz. Its first phase only: encoder and decoder learn against a spectral distance, without the discriminator, which
would need days. Writes what `rave train` and `rave export` write: OUT/OUT_run (gin configuration and checkpoint) and
OUT/trained.ts. Everything is drawn from one seed. It ends after N steps or M minutes, whichever is first, and the
learning rate falls towards that end; Ctrl-C ends it early, and what there is is exported.

Needs the environment that setup.sh makes. RAVE and what is trained with it are for non-commercial use (CC BY-NC 4.0)."""

import argparse
import random
import subprocess
import sys
import time
import warnings
import wave
from pathlib import Path

TARGET = Path(__file__).resolve().parents[2] / "target" / "evaluate"
CONFIGURATION = "configs/v2_small.gin"
SIZES = ["CAPACITY = 16", "LATENT_SIZE = 16"]
SEED = 5
CROP_SAMPLES, BATCH = 32_768, 8
RATE_FIRST, RATE_LAST = 1.5e-3, 1e-4
REGULARIZATION, REGULARIZATION_STEPS = 1e-3, 2000
TRANSFORM_SIZES = [2048, 1024, 512, 256, 128]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=TARGET / "training", help="folder of WAV files to train on")
    parser.add_argument("--out", type=Path, default=TARGET / "trained", help="folder to write to")
    parser.add_argument("--steps", type=int, default=6000, help="training steps")
    parser.add_argument("--minutes", type=float, default=90.0, help="the longest that training may take")
    parser.add_argument("--threads", type=int, default=2, help="threads; ignored on a GPU")
    options = parser.parse_args()
    if options.steps < 1 or options.threads < 1 or not options.minutes > 0:
        parser.error("at least one step, one thread and some time are needed")
    clips = [read(path) for path in sorted(options.clips.glob("*.wav"))]
    if not clips:
        parser.error(f"{options.clips} holds no .wav; make clips with clips.py --training")

    warnings.filterwarnings("ignore")
    sys.argv = sys.argv[:1]  # the reference's modules parse flags when imported
    import torch

    torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    random.seed(SEED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    clips = [torch.from_numpy(clip) for clip in clips]
    model, configuration = build(CONFIGURATION, SIZES)
    print(f"{len(clips)} clips, {sum(map(len, clips)) / 44_100 / 60:.1f} minutes; training on {device}", flush=True)
    model.to(device).train()
    steps = train(model, clips, options.steps, 60 * options.minutes, device)
    model.cpu().eval()
    measure_latents(model, clips)
    save(model, configuration, steps, options.out)
    export(options.out)


def build(configuration, overrides):
    """A model of one of the reference's configurations, and the text of it as `rave train` keeps it."""
    import cached_conv
    import gin
    import rave
    import rave.dataset
    import scripts.export  # registers what the configuration names
    import torch

    torch.set_grad_enabled(True)  # which scripts.export switches off
    cached_conv.use_cached_conv(False)
    gin.clear_config()
    gin.bind_parameter("RAVE.n_channels", 1)
    gin.bind_parameter("dataset.get_dataset.augmentations", [])
    gin.parse_config_files_and_bindings([configuration], overrides)
    model = rave.RAVE(n_channels=1)
    return model, gin.operative_config_str()


def train(model, clips, steps, seconds, device):
    """Steps done: `steps`, or fewer where time or Ctrl-C ended it."""
    import torch

    parameters = [*model.encoder.parameters(), *model.decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, RATE_FIRST, (0.8, 0.95))
    started, smoothed = time.time(), None
    for step in range(steps):
        try:
            progress = max(step / steps, (time.time() - started) / seconds)
            if progress >= 1.0:
                raise KeyboardInterrupt
            for group in optimizer.param_groups:
                group["lr"] = RATE_FIRST * (RATE_LAST / RATE_FIRST) ** progress
            sound = torch.stack([crop(random.choice(clips)) for _ in range(BATCH)])[:, None].to(device)
            latents, divergence = model.encoder.reparametrize(model.encode(sound))[:2]
            heard = model.decode(latents)[..., :CROP_SAMPLES]
            weight = REGULARIZATION * min(1.0, step / REGULARIZATION_STEPS)
            distance = spectral_distance(sound, heard)
            optimizer.zero_grad()
            (distance + weight * divergence).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 2.0)
            optimizer.step()
        except KeyboardInterrupt:
            print(f"ended after {step} of {steps} steps", flush=True)
            return step
        smoothed = distance.item() if smoothed is None else 0.98 * smoothed + 0.02 * distance.item()
        if (step + 1) % 50 == 0 or step + 1 == steps:
            print(f"{time.time() - started:6.0f} s  step {step + 1} of {steps}  distance {smoothed:.3f}", flush=True)
    return steps


def crop(clip):
    """A piece of a clip, at a gain; short clips are padded with silence."""
    import torch

    start = random.randrange(max(1, len(clip) - CROP_SAMPLES))
    piece = clip[start : start + CROP_SAMPLES] * random.uniform(0.4, 1.2)
    return torch.nn.functional.pad(piece, (0, CROP_SAMPLES - len(piece)))


def spectral_distance(wanted, heard):
    """Over transforms of several sizes: the relative distance of magnitudes, and the mean distance of their logarithms."""
    import torch

    total = 0.0
    for size in TRANSFORM_SIZES:
        window = torch.hann_window(size, device=wanted.device)
        a, b = (
            torch.stft(signal.flatten(0, 1), size, size // 4, window=window, return_complex=True).abs()
            for signal in (wanted, heard)
        )
        total = total + (a - b).norm() / (a.norm() + 1e-6)
        total = total + (torch.log(a + 1e-3) - torch.log(b + 1e-3)).abs().mean()
    return total


def measure_latents(model, clips):
    """Fills in the mean, the principal axes and the fidelity of the latents, which the export reads."""
    import torch

    with torch.no_grad():
        pieces = [clip[None, None, : len(clip) // CROP_SAMPLES * CROP_SAMPLES] for clip in clips]
        means = [model.encode(piece)[0].chunk(2)[0] for piece in pieces if piece.shape[-1] > 0]
        latents = torch.cat(means, -1)
        mean = latents.mean(-1)
        _, strengths, axes = torch.linalg.svd((latents - mean[:, None]).T, full_matrices=False)
        model.latent_mean.copy_(mean)
        model.latent_pca.copy_(axes)
        model.fidelity.copy_((strengths**2).cumsum(0) / (strengths**2).sum())


def save(model, configuration, steps, out):
    """A run folder as the reference's training leaves it, without the untrained discriminator."""
    import torch

    run = run_folder(out)
    checkpoints = run / "version_0" / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    (run / "config.gin").write_text(configuration)
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith("discriminator.")}
    torch.save(
        {
            "epoch": 0,
            "global_step": steps,
            "pytorch-lightning_version": "1.9.0",
            "state_dict": weights,
            "loops": {},
            "callbacks": {},
            "optimizer_states": [],
            "lr_schedulers": [],
        },
        checkpoints / "best.ckpt",
    )


def run_folder(out):
    """Where the run of a model lies that is kept in `out`."""
    return out / f"{out.name}_run"


def export(out):
    """`rave export`, in a process of its own."""
    command = [sys.executable, "-c", "from scripts.main_cli import main; main()", "export"]
    command += ["--run", str(run_folder(out)), "--output", str(out), "--name", "trained", "--fidelity", "0.999"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    exported = out / "trained.ts"
    if done.returncode != 0 or not exported.is_file():
        sys.exit(f"error: rave export ended with {done.returncode}:\n{done.stdout[-2000:]}")
    print(f"wrote {exported}", flush=True)


def read(path):
    """Samples of a mono 16-bit WAV file at 44.1 kHz."""
    import numpy

    with wave.open(str(path)) as file:
        found = file.getnchannels(), file.getsampwidth() * 8, file.getframerate()
        if found != (1, 16, 44_100):
            sys.exit(f"error: {path} has {found[0]} channels of {found[1]} bits at {found[2]} Hz; 1, 16, 44100 are needed")
        return (numpy.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768).astype(numpy.float32)


if __name__ == "__main__":
    main()
