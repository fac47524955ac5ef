"""Give Theano a BLAS, and the module that Lasagne 0.1 looks for; shared by all rows on Theano.

Theano compiles C++ at run time and links it with a BLAS, without which convolutions and matrix
products are several times slower. NumPy's wheel carries one, OpenBLAS: the linker is told where it
lies, in LIBRARY_PATH, and Theano its name, in THEANO_FLAGS, by a module that every start of this
environment's Python imports. What is compiled is kept in the environment, not in the home folder.
What a row or its user says in THEANO_FLAGS stays: these are added to it. It needs g++ and no root.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SETTINGS = '''"""Tell Theano and g++ of the BLAS in NumPy's wheel; written by theano.build.py."""

import glob
import os
import sys

PACKAGES = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(PACKAGES, "numpy.libs")


def settle():
    flags = [each for each in os.environ.get("THEANO_FLAGS", "").split(",") if each]
    said = {each.split("=")[0].strip() for each in flags}
    libraries = glob.glob(os.path.join(FOLDER, "libopenblas*.so"))
    if "blas.ldflags" not in said and libraries:
        flags.append("blas.ldflags=-l:" + os.path.basename(libraries[0]))
        before = [each for each in os.environ.get("LIBRARY_PATH", "").split(":") if each]
        if FOLDER not in before:
            os.environ["LIBRARY_PATH"] = ":".join([FOLDER] + before)
    compiled = os.path.join(sys.prefix, "theano")
    if "base_compiledir" not in said and "," not in compiled:  # which would end the flag
        flags.append("base_compiledir=" + compiled)
    os.environ["THEANO_FLAGS"] = ",".join(flags)


settle()
'''

# Lasagne 0.1 is of 2015; Theano 0.9 moved this module and renamed the arguments.
DOWNSAMPLE = '''"""What pool was called until Theano 0.9; written by theano.build.py."""

from theano.tensor.signal.pool import Pool, pool_2d


def max_pool_2d(input, ds, ignore_border=None, st=None, padding=(0, 0), mode="max"):
    return pool_2d(input, ws=ds, ignore_border=ignore_border, stride=st, pad=padding, mode=mode)


DownsampleFactorMax = Pool
'''

CHECK = """
import numpy, theano, theano.tensor as T
x = T.fmatrix()
f = theano.function([x], T.dot(x, x))
assert theano.config.cxx, "no C++ compiler"
used = " ".join(str(node.op) for node in f.maker.fgraph.toposort())
assert "Gemm" in used or "Dot22" in used, "no BLAS: " + used
assert numpy.allclose(f(numpy.eye(3, dtype="float32")), numpy.eye(3))
"""


def check_compiler():
    """Stop where there is no g++: Theano would go on without, in Python, for days."""
    words = shlex.split(os.environ.get("CXX", "")) or ["g++"]
    if not shutil.which(words[0]):
        sys.exit(
            "Theano compiles its functions with g++, and none was found: install one "
            "(apt-get install g++, dnf install gcc-c++, conda install gxx_linux-64)."
        )


def check_theano():
    """Compile a function in a process of its own; stop with the reason where that fails."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", CHECK], stderr=subprocess.PIPE)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        sys.exit("theano cannot compile: " + lines[-1])


def main():
    check_compiler()
    packages = Path(sysconfig.get_path("purelib"))
    (packages / "theano_settings.py").write_text(SETTINGS)
    (packages / "theano_settings.pth").write_text("import theano_settings\n")
    signal = packages / "theano" / "tensor" / "signal"
    if not (signal / "downsample.py").exists():
        (signal / "downsample.py").write_text(DOWNSAMPLE)
    check_theano()


if __name__ == "__main__":
    main()
