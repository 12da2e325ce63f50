"""The VST3 in dawdreamer, a host that renders graphs offline: usage: dawdreamer_check.py PLUGIN.vst3

Exit status 0 only when every check passed.
"""

import sys
import tempfile
from pathlib import Path

try:
    import dawdreamer
except ImportError:
    sys.exit("dawdreamer is not installed; it has no build for this Python")
import numpy as np

PLUGIN = str(Path(sys.argv[1]).resolve())
RATE = 44100
failed = []


def check(name, ok, detail=""):
    print(f"{'ok  ' if ok else 'FAIL'} {name}{'  ' + detail if detail else ''}", flush=True)
    if not ok:
        failed.append(name)


signal = (0.25 * np.random.default_rng(2).standard_normal((2, RATE))).astype(np.float32)


def graph(block):
    engine = dawdreamer.RenderEngine(RATE, block)
    source = engine.make_playback_processor("source", signal)
    plugin = engine.make_plugin_processor("runnel", PLUGIN)
    engine.load_graph([(source, []), (plugin, ["source"])])
    return engine, plugin


for block in (64, 441, 512, 4096):
    engine, plugin = graph(block)
    engine.render(0.9)
    output = engine.get_audio()
    frames = min(output.shape[1], signal.shape[1])
    error = float(np.abs(output[:, :frames] - signal[:, :frames]).max())
    check(f"blocks of {block}: without a model the input passes", error == 0, f"latency {plugin.get_latency_samples()}")

names = [parameter["name"] for parameter in plugin.get_parameters_description()]
check("parameters are listed", "Dry/wet" in names and "Latent 16 scale" in names, f"{len(names)} of them")
gain = names.index("Output gain")
plugin.set_automation(gain, np.linspace(0.2, 0.8, RATE).astype(np.float32))
engine.render(0.9)
check("automation", bool(np.isfinite(engine.get_audio()).all()))
plugin.set_parameter(gain, 0.3)
engine.render(0.1)
with tempfile.TemporaryDirectory() as folder:
    state = str(Path(folder) / "state")
    plugin.save_state(state)
    other = engine.make_plugin_processor("other", PLUGIN)
    other.load_state(state)
    check("the state comes back", abs(other.get_parameter(gain) - plugin.get_parameter(gain)) < 1e-3)

print(f"failed: {', '.join(failed)}" if failed else "all passed")
sys.exit(bool(failed))
