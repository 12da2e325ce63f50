"""Plays an ONNX export, block by block, on one thread. It keeps no state, so that blocks do not fit together, and
a block may give less than it has."""

import numpy
import onnxruntime

from peer import serve


def shaped(x, shape):
    """A block, [batch, channels, frames], in the axes that the model reads: its channels stand where their number does."""
    _, channels, frames = x.shape
    if len(shape) == 1:
        return x[0, 0]
    if len(shape) == 4:
        return x.reshape([1, 1, 1, frames] if shape[1] in (1, None) else [1, channels, 1, frames])
    if len(shape) == 2:
        return x[0]
    frames_first = shape[2] == channels and shape[1] != channels
    return numpy.ascontiguousarray(x.transpose(0, 2, 1)) if frames_first else x


def load(model, channels, block):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    first, *others = session.get_inputs()

    def prepare(x):
        x = shaped(x, first.shape)
        sizes = dict(zip(first.shape, x.shape))
        # Other inputs are held at zero.
        zeros = {o.name: numpy.zeros([n if isinstance(n, int) else sizes.get(n, 1) for n in o.shape], "f4") for o in others}
        return {first.name: x, **zeros}

    return f"onnxruntime {onnxruntime.__version__}", lambda x: session.run(None, x)[0], prepare


serve(load, streams=False)
