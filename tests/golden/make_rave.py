#!/usr/bin/env python3
"""Makes the RAVE fixtures in tests/golden/rave: small models of our own seeded weights, each as a training run, as an
export and as a streaming export, with the reference's output for a recorded input.

    pip install acids-rave==2.3.1        (Python 3.11, torch 2.5.1, scipy 1.10, numpy < 2, nn-tilde 1.5.6)
    tests/golden/make_rave.py tests/golden/rave [NAME...]

Exports are stripped of the program that torch writes into them: of the code, only the lines that declare constants stay,
which are the only ones the importer reads. Every random number of the reference is replaced: posterior and refill by
zero, the synthesiser's noise by a recorded one.

A model with a prior also records, for a network fed with nothing before its first frame: `prior_indices`, drawn, and the
`prior_logits` of their one-hot frames; `prior_argmax`, what follows the frame of zero latents when the likeliest index is
always taken, and `prior_latents`, what those indices decode to from the middle of each step.
"""
import os
import re
import shutil
import sys
import tempfile
import zipfile

OUT = os.path.abspath(sys.argv[1])
NAMES = sys.argv[2:]
sys.argv = sys.argv[:1]

import cached_conv as cc
import gin
import rave
import rave.dataset
import torch
from absl import flags
from rave.prior.model import VariationalPrior
from safetensors.torch import save_file
from scripts import export

SMALL = ["N_BAND = 4", "CAPACITY = 2", "LATENT_SIZE = 4"]
FRAMES = 8
MODELS = {
    # Stereo, noise synthesiser, Snake, learned AdaIN, one even and one odd dilation list.
    "v2": (["v2", "noise", "snake", "adain"], 2,
           SMALL + ["RATIOS = [2, 4]", "DILATIONS = [[1, 3], [2]]", "blocks.NoiseGeneratorV2.ratios = [2, 2]",
                    "blocks.NoiseGeneratorV2.hidden_size = 4", "blocks.NoiseGeneratorV2.noise_bands = 3"]),
    # Batch norm, grouped posterior, loudness, noise synthesiser.
    "v1": (["v1"], 1, SMALL + ["RATIOS = [4, 2]", "blocks.NoiseGenerator.ratios = [2, 4]"]),
    # Causal, residual vector quantisation, refilled channels.
    "discrete": (["discrete", "causal"], 1,
                 SMALL + ["RATIOS = [2, 2]", "DILATIONS = [[1], [1, 2]]", "NOISE_AUGMENTATION = 2",
                          "NUM_QUANTIZERS = 2", "CODEBOOK_SIZE = 8"]),
    # Exported with a prior over 4 of 8 latents.
    "prior": (["v2"], 1, ["N_BAND = 4", "CAPACITY = 2", "LATENT_SIZE = 8", "RATIOS = [2, 4]", "DILATIONS = [[1], [1]]"]),
}
PRIORS = {
    "prior": ["resolution = 8", "res_size = 8", "skp_size = 12", "kernel_size = 3", "cycle_size = 2", "n_layers = 3",
              "latent_size = 4"],
}
PRIOR_FRAMES = 48


def build(configs, channels, overrides):
    gin.clear_config()
    cc.use_cached_conv(False)
    gin.bind_parameter("RAVE.n_channels", channels)
    gin.bind_parameter("dataset.get_dataset.augmentations", [])
    gin.parse_config_files_and_bindings([f"configs/{c}.gin" for c in configs], overrides)
    return rave.RAVE(n_channels=channels).eval()


def randomise(model, x, generator):
    """Seeds every buffer that training fills, and scales each convolution so that its output has unit deviation."""
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.copy_(0.2 * normal(module.num_features))
            module.running_var.copy_(0.5 + normal(module.num_features).abs())
            module.weight.data.copy_(1 + 0.2 * normal(module.num_features))
            module.bias.data.copy_(0.2 * normal(module.num_features))
        if isinstance(module, rave.blocks.Snake):
            module.alpha.data.copy_(torch.exp(0.3 * normal(*module.alpha.shape)))
        if isinstance(module, rave.blocks.AdaptiveInstanceNormalization):
            for name in ("mean_x", "mean_y"):
                getattr(module, name).copy_(0.1 * normal(1, module.mean_x.shape[1], 1).expand_as(module.mean_x))
            for name in ("std_x", "std_y"):
                getattr(module, name).copy_(1 + 0.1 * normal(1, module.std_x.shape[1], 1).expand_as(module.std_x))
            module.num_update_x.fill_(3)
            module.num_update_y.fill_(2)
        for name in ("warmed_up", "enabled"):
            if isinstance(getattr(module, name, None), torch.Tensor):
                getattr(module, name).fill_(1)
        if type(module).__name__ == "EuclideanCodebook":
            module.embed.copy_(normal(*module.embed.shape))
            module.inited.fill_(1)

    def rescale(module, _, output):
        gain = getattr(module, "weight_g", None)
        factor = torch.exp(0.2 * normal(())) / (output.std() + 1e-9)
        (module.weight if gain is None else gain).data.mul_(factor)
        return output * factor

    hooks = [m.register_forward_hook(rescale) for half in (model.encoder, model.decoder) for m in half.modules()
             if isinstance(m, (torch.nn.Conv1d, torch.nn.ConvTranspose1d))]
    latents = model.latent_size
    encoded = model.encoder(bands(model, x))
    width = latents if not hasattr(model.encoder, "rvq") else latents + model.encoder.noise_augmentation
    model.decoder(normal(1, width, encoded.shape[-1]))
    for hook in hooks:
        hook.remove()
    model.latent_pca.copy_(torch.linalg.qr(normal(latents, latents))[0])
    model.latent_mean.copy_(0.2 * normal(latents))
    model.fidelity.copy_(torch.linspace(0.9, 1, latents))      # keeps 2 of 4


def bands(model, x):
    y = model.pqmf(x.reshape(-1, 1, x.shape[-1]))
    return y.reshape(1, -1, y.shape[-1])


def reference(model, x, kept, generator):
    """Latents, the synthesiser's noise, and the output, from the modules themselves."""
    noise = {}

    def recorded(like):
        if "noise" not in noise:
            noise["noise"] = torch.rand(like.shape[2:], generator=generator) * 2 - 1
        return ((noise["noise"] + 1) / 2).expand_as(like)

    random, torch.rand_like = torch.rand_like, recorded
    encoded = model.encoder(bands(model, x))
    if hasattr(model.encoder, "rvq"):
        codes = model.encoder.rvq.encode(encoded)
        z = codes.float()
        read = model.encoder.rvq.decode(codes)
        read = torch.cat([read, torch.zeros(1, model.encoder.noise_augmentation, z.shape[-1])], 1)
    else:
        mean = encoded[:, :model.latent_size] - model.latent_mean[None, :, None]
        z = torch.einsum("ij,bjt->bit", model.latent_pca, mean)[:, :kept]
        read = torch.einsum("ij,bit->bjt", model.latent_pca[:kept], z) + model.latent_mean[None, :, None]
    y = model.decoder(read)
    torch.rand_like = random
    channels = x.shape[1]
    y = model.pqmf.inverse(y.reshape(channels, -1, y.shape[-1])).reshape(1, channels, -1)
    return {"x": x[0], "z": z[0], "y": y[0], **noise}


def make_prior(model, bindings, generator, run):
    """A seeded prior of `model`, saved as a run of its own in the folder `run`."""
    gin.clear_config()
    gin.parse_config([f"VariationalPrior.{binding}" for binding in bindings])
    prior = VariationalPrior(pretrained_vae=model, n_channels=model.n_channels).eval()

    def rescale(module, _, output):
        module.bias.data.copy_(0.3 * torch.randn(module.bias.shape, generator=generator))
        gain = 4 if module is prior.post_net[2] else 1.5
        factor = gain / (output.std() + 1e-9)
        module.weight.data.mul_(factor)
        return output * factor

    hooks = [m.register_forward_hook(rescale) for part in (prior.pre_net, prior.residuals, prior.post_net)
             for m in part.modules() if isinstance(m, torch.nn.Conv1d)]
    prior(one_hot(prior, torch.randint(prior.quantized_normal.resolution, (1, prior.latent_size, 256),
                                       generator=generator)))
    for hook in hooks:
        hook.remove()
    os.makedirs(os.path.join(run, "version_0", "checkpoints"))
    with open(os.path.join(run, "config.gin"), "w") as file:
        file.write(gin.operative_config_str())
    torch.save({"state_dict": prior.state_dict()}, os.path.join(run, "version_0", "checkpoints", "best.ckpt"))
    return prior


def one_hot(prior, indices):
    return prior.quantized_normal.to_stack_one_hot(indices)


def prior_reference(prior, generator):
    """What the network makes of drawn frames, and what it makes of its own likeliest."""
    resolution, latents = prior.quantized_normal.resolution, prior.latent_size
    nothing = torch.zeros(1, resolution * latents, 64)         # more than the receptive field
    indices = torch.randint(resolution, (1, latents, PRIOR_FRAMES), generator=generator)
    logits = prior(torch.cat([nothing, one_hot(prior, indices)], -1))[..., nothing.shape[-1]:]
    frames = torch.cat([nothing, prior.quantized_normal.encode(torch.zeros(1, latents, 1))], -1)
    for _ in range(PRIOR_FRAMES):
        likeliest = prior.post_process_prediction(prior(frames)[..., -1:], argmax=True)
        frames = torch.cat([frames, likeliest], -1)
    frames = frames[..., nothing.shape[-1] + 1:]
    random, torch.rand_like = torch.rand_like, lambda like: torch.full_like(like, 0.5)
    decoded = prior.quantized_normal.decode(frames)
    torch.rand_like = random
    decoded = torch.cat([torch.zeros(1, latents, latents - 1), decoded], -1)
    argmax = frames[0].T.reshape(PRIOR_FRAMES, latents, resolution).argmax(-1).T
    return {"prior_indices": indices[0].float(), "prior_logits": logits[0], "prior_argmax": argmax.float(),
            "prior_latents": prior.diagonal_shift.inverse(decoded)[0]}


def strip(path):
    """Rewrites an export without its program."""
    kept = re.compile(r"^(class |  [A-Za-z_]+ : Final\[)")
    with zipfile.ZipFile(path) as old:
        entries = [(e.filename, old.read(e)) for e in old.infolist() if not e.filename.endswith(".debug_pkl")]
    with zipfile.ZipFile(path, "w") as new:
        for name, data in entries:
            code = name.endswith(".py")
            if code:
                lines = [line for line in data.decode().splitlines() if kept.match(line)]
                data = ("\n".join(lines) + "\n").encode()
            entry = zipfile.ZipInfo(name)          # a fixed date: the same bytes for the same model
            new.writestr(entry, data, zipfile.ZIP_DEFLATED if code or name.endswith("data.pkl") else zipfile.ZIP_STORED)


def main():
    torch.set_grad_enabled(False)
    for name, (configs, channels, overrides) in MODELS.items():
        if NAMES and name not in NAMES:
            continue
        root = os.path.join(OUT, name)
        run = os.path.join(root, f"{name}_0a1b2c3d4e")
        shutil.rmtree(root, ignore_errors=True)
        os.makedirs(os.path.join(run, "version_0", "checkpoints"))
        torch.manual_seed(7)
        generator = torch.Generator().manual_seed(7)
        model = build(configs, channels, overrides)
        config = gin.operative_config_str()
        with open(os.path.join(run, "config.gin"), "w") as file:
            # Training leaves the binding out, and then cannot export its own stereo models.
            file.write(config if "n_channels" in config else f"{config}\nmodel.RAVE.n_channels = {channels}\n")
        probe = 0.3 * torch.randn(1, channels, 8192, generator=generator)
        randomise(model, probe, generator)
        skip = ("discriminator.", "audio_distance.", "multiband_audio_distance.")
        state = {k: v.clone() for k, v in model.state_dict().items() if not k.startswith(skip)}
        torch.save({"epoch": 0, "global_step": 0, "state_dict": state},
                   os.path.join(run, "version_0", "checkpoints", "best.ckpt"))
        scratch, recorded = tempfile.TemporaryDirectory(), {}
        argv_prior = []
        if name in PRIORS:
            prior = make_prior(model, PRIORS[name], generator, scratch.name)
            recorded = prior_reference(prior, generator)
            argv_prior = ["--prior", scratch.name]
            # The exporter tries each method on a batch of four, unless no batch is allowed: a prior fails on it.
            cc.MAX_BATCH_SIZE = cc.convs.MAX_BATCH_SIZE = 1
        for streaming in (False, True):
            stem = "streaming" if streaming else "export"
            argv = ["rave export", "--run", run, "--output", root, "--name", stem] + argv_prior
            flags.FLAGS.unparse_flags()
            flags.FLAGS(argv + (["--streaming"] if streaming else ["--nostreaming"]))
            gin.clear_config()
            export.main(argv)
            made = os.path.join(root, "streaming_streaming.ts" if streaming else "export.ts")
            if streaming and os.path.exists(made):
                os.rename(made, os.path.join(root, "streaming.ts"))
            strip(os.path.join(root, stem + ".ts"))
        with open(os.path.join(run, "config.gin"), "w") as file:
            file.write(config)
        model = build(configs, channels, overrides)
        model.load_state_dict(state, strict=False)
        ratio = model.pqmf.n_band * int(torch.tensor(gin.query_parameter("%RATIOS")).prod())
        x = 0.3 * torch.randn(1, channels, FRAMES * ratio * 4, generator=generator)
        index = int((model.fidelity > 0.95).int().argmax())
        kept = min(2 ** (max(index, 1) - 1).bit_length(), model.latent_size)
        recorded.update(reference(model, x, kept, generator))
        save_file({k: v.contiguous() for k, v in recorded.items()}, os.path.join(root, "reference.safetensors"))


main()
