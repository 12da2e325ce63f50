"""Plays an ONNX export, block by block, on one thread. It keeps no state, so that blocks do not fit together, and
a block may give less than it has."""

import onnxruntime

from peer import serve


def load(model, channels, block):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return f"onnxruntime {onnxruntime.__version__}", lambda x: session.run(None, {name: x})[0], lambda x: x


serve(load, streams=False)
