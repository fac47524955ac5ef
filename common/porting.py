"""For a model of your own: canonical files, layouts, and the layer where two programs part.

    from common import porting

Needs NumPy alone, from Python 3.6 on, so that the old framework's Python and the new one's can both
use it. No notebook does: its checks know their task.
"""

import os
from collections import OrderedDict

import numpy as np

from .check import relative_error


class DifferentError(AssertionError):
    """Two programs part: names the first array that does."""


# --- files -------------------------------------------------------------------------------------


def save(path, arrays):
    """Write named arrays to a file: .npz, which every Python reads, or .safetensors.

    arrays: {name: array}. Raises ValueError for another ending, ImportError where the Python has
    no safetensors.
    """
    arrays = OrderedDict((name, np.ascontiguousarray(array)) for name, array in arrays.items())
    kind = _kind(path)
    if kind == ".npz":
        np.savez(path, **arrays)
    else:
        _safetensors().save_file(dict(arrays), path)


def load(path):
    """Return the named arrays of a file: {name: array}, in its order.

    Raises ValueError for another ending, or where an array is a pickled object.
    """
    if _kind(path) == ".npz":
        with np.load(path, allow_pickle=False) as stored:
            return OrderedDict((name, stored[name]) for name in stored.files)
    return OrderedDict(_safetensors().load_file(path))


def _kind(path):
    ending = os.path.splitext(str(path))[1]
    if ending not in (".npz", ".safetensors"):
        raise ValueError("%s: name the file .npz or .safetensors" % path)
    return ending


def _safetensors():
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            "this Python has no safetensors: install it, or name the file .npz"
        ) from None
    return safetensors.numpy


# --- layouts -----------------------------------------------------------------------------------


def axes(array, source, target):
    """Return an array with its axes in another order, each named by a letter.

    axes(kernel, "oihw", "hwio") makes PyTorch's kernel of a convolution Keras's; axes(kernel, "oi",
    "io") transposes a dense kernel; axes(x, "nchw", "nhwc") moves the channels to the end. Raises
    ValueError where the letters do not fit.
    """
    if sorted(source) != sorted(target) or len(set(source)) != len(source):
        raise ValueError("%r and %r must be the same letters, each once" % (source, target))
    if np.ndim(array) != len(source):
        raise ValueError("%d axes, but %r names %d" % (np.ndim(array), source, len(source)))
    return np.ascontiguousarray(np.transpose(array, [source.index(axis) for axis in target]))


def flattened(kernel, shape, source="chw", target="hwc"):
    """Return the first dense kernel after a flatten for activations that are flattened otherwise.

    kernel: [out, in]; shape: of the activations before the flatten, in the source's order, such as
    (100, 8, 8) for "chw". Shapes fit without this, too, and nothing complains. Raises ValueError
    where the inputs are not as many as the shape has.
    """
    outputs, inputs = np.shape(kernel)
    if inputs != int(np.prod(shape)):
        raise ValueError("%d inputs are not of shape %s" % (inputs, tuple(shape)))
    moved = axes(np.reshape(kernel, (outputs,) + tuple(shape)), "o" + source, "o" + target)
    return moved.reshape(outputs, inputs)


def gates(array, source, target, axis=0):
    """Return stacked gates in another order, each named by a letter.

    gates(kernel, "rzn", "zrn") makes a GRU's kernel of PyTorch Keras's; an LSTM's gates are "ifgo"
    in PyTorch and "iofg" in ONNX. axis: along which they are stacked, 0 for [gates, in], 1 for
    [in, gates]; biases have one. Raises ValueError where the letters do not fit.
    """
    if sorted(source) != sorted(target) or len(set(source)) != len(source):
        raise ValueError("%r and %r must be the same letters, each once" % (source, target))
    if np.shape(array)[axis] % len(source):
        raise ValueError("%d rows are not %d gates" % (np.shape(array)[axis], len(source)))
    parts = np.split(np.asarray(array), len(source), axis)
    return np.concatenate([parts[source.index(gate)] for gate in target], axis)


def flipped(kernel, spatial=(2, 3)):
    """Return the kernel of a true convolution for a layer that correlates, or the other way round.

    spatial: its axes of height and width. Theano's convolution turns its kernel by 180 degrees; all
    others here do not, whatever they call it.
    """
    turned = np.asarray(kernel)
    for axis in spatial:
        turned = np.flip(turned, axis)
    return np.ascontiguousarray(turned)


# --- where two programs part -------------------------------------------------------------------


def compare(found, wanted, limit=1e-5):
    """Print, name by name, how far arrays are from those wanted; name the first that is not near.

    found, wanted: {name: array}, such as outputs of layers from the first to the last, in the order
    of `wanted`; limit: of the error, the norm of the difference over the norm of what is wanted.
    Returns {name: error}. Raises DifferentError, which names the first array over the limit, of
    another shape, or missing: what follows it differs because of it.
    """
    errors, wrong = OrderedDict(), None
    for name in wanted:
        if name not in found:
            raise DifferentError("%s is missing" % name)
        if np.shape(found[name]) != np.shape(wanted[name]):
            raise DifferentError(
                "%s: shape %s, wanted %s" % (name, np.shape(found[name]), np.shape(wanted[name]))
            )
        errors[name] = relative_error(found[name], wanted[name])
        good = errors[name] <= limit  # False for NaN, too
        print("%-24s error %.1e  %s" % (name, errors[name], "ok" if good else "DIFFERS"))
        if not good and wrong is None:
            wrong = name
    if wrong is not None:
        raise DifferentError(
            "%s is the first that differs: error %.1e, limit %.1e" % (wrong, errors[wrong], limit)
        )
    return errors
