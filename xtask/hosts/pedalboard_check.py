"""The VST3 in pedalboard, a JUCE host: usage: pedalboard_check.py PLUGIN.vst3 MODEL

Exit status 0 only when every check passed. Differences are of samples; 0 means the same bits.
"""

import json
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pedalboard

PLUGIN, MODEL = sys.argv[1:3]
ALPHABET = ".ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+"
RATE = 44100
failed = []


def check(name, ok, detail=""):
    print(f"{'ok  ' if ok else 'FAIL'} {name}{'  ' + detail if detail else ''}", flush=True)
    if not ok:
        failed.append(name)


def unpack(text):
    """JUCE's base 64: a length, a dot, then six bits a letter, the lowest first."""
    length, body = text.split(".", 1)
    value = sum(ALPHABET.index(letter) << (6 * i) for i, letter in enumerate(body))
    return value.to_bytes((6 * len(body) + 7) // 8, "little")[: int(length)]


def pack(data):
    value = int.from_bytes(data, "little")
    letters = (8 * len(data) + 5) // 6
    return f"{len(data)}." + "".join(ALPHABET[(value >> (6 * i)) & 63] for i in range(letters))


def project(model=MODEL, **params):
    """An instance that opened a project with this model and these parameters."""
    plugin = pedalboard.load_plugin(PLUGIN)
    state = bytes(plugin.raw_state)
    tree = ET.fromstring(state[state.index(b"<?xml") :].rstrip(b"\0").decode())
    node = tree.find("IComponent")
    own = json.loads(unpack(node.text))
    own["fields"]["model-path"] = json.dumps(model)
    own["params"].update(params)
    node.text = pack(json.dumps(own).encode())
    body = ('<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(tree, encoding="unicode")).encode() + b"\0"
    plugin.raw_state = state[:4] + (len(body) - 1).to_bytes(4, "little") + body
    return plugin


def number(value):
    return {"f32": value}


signal = (0.25 * np.random.default_rng(1).standard_normal((2, 2 * RATE))).astype(np.float32)


def bounce(plugin, block=512, rate=RATE, frames=signal.shape[1]):
    return plugin.process(signal[:, :frames], rate, buffer_size=block, reset=True)


def difference(a, b):
    frames = min(a.shape[1], b.shape[1])
    return float(np.abs(a[:, :frames] - b[:, :frames]).max())


settings = {"latent-bias_1": number(0.7), "latent-scale_2": number(1.5), "jitter": number(0.3), "seed": {"i32": 42}}
first = project(**settings)
sound = bounce(first)
check("the model sounds", bool(np.isfinite(sound).all()) and float(np.abs(sound).max()) > 1e-3, f"latency {first.reported_latency_samples}")
check("two bounces", difference(bounce(project(**settings)), sound) == 0)
for block in (1, 7, 64, 441, 1023, 4096, 8192):
    frames = signal.shape[1] if block >= 64 else 8192
    check(f"blocks of {block}", difference(bounce(project(**settings), block, frames=frames), bounce(project(**settings), frames=frames)) == 0)

def row(sizes):
    """Calls one after another, of one length, for the host starts anew where it changes."""
    plugin, pieces, at = project(**settings), [], 0
    plugin.process(signal[:, :8192], RATE, buffer_size=8192, reset=True)  # activates, with the model, for the longest
    plugin.reset()
    for frames in sizes:
        pieces.append(plugin.process(signal[:, at : at + frames], RATE, buffer_size=8192, reset=False))
        at += frames
    return np.concatenate(pieces, axis=1)


check("calls one after another", difference(row([441] * 60), row([1000] * 26)) == 0)

dry = project(mix=number(0.0))
check("dry is the input, late by what was told", difference(bounce(dry), signal) == 0, f"{dry.reported_latency_samples} samples")

saved = bytes(first.raw_state)
again = pedalboard.load_plugin(PLUGIN)
again.raw_state = saved
check("a saved project sounds as it did", difference(bounce(again), sound) == 0)

for rate in (22050, 48000, 96000, 192000):
    output = bounce(project(), 256, rate, rate // 2)
    check(f"{rate} Hz", bool(np.isfinite(output).all()))
mono = project().process(signal[:1, :8192], RATE, buffer_size=333)
check("a mono track", bool(np.isfinite(mono).all()), f"{mono.shape[0]} channels out")
broken = project().process(np.full((2, 8192), np.nan, np.float32), RATE, buffer_size=512)
check("NaN in", bool(np.isfinite(broken).all()))
missing = project(model="/no/such/model.runnel")
check("a missing model passes the input", difference(bounce(missing), signal) == 0)
many = [project() for _ in range(32)]
check("32 instances", all(np.isfinite(one.process(signal[:, :2048], RATE, buffer_size=128)).all() for one in many))

print(f"failed: {', '.join(failed)}" if failed else "all passed")
sys.exit(bool(failed))
