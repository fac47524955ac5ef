"""Make the CNTK wheel importable: compile stand-ins for libraries of Ubuntu 16.04.

CNTK 2.7 was linked against OpenMPI 1.10, which no current distribution has. A process that trains
alone never calls MPI, but the loader wants every symbol to exist: so each MPI symbol that the wheel
asks for becomes a function that stops the process with a message. The wheel also asks for libpython
as a shared library, which many builds of Python 3.6 do not have: there an empty library of that
name does, since the interpreter itself exports the symbols. All of them go beside CNTK's own
libraries, where the loader looks first. It needs a C compiler and no root.
"""

import importlib.util
import os
import shlex
import shutil
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

# name, type, flags, address, offset, size, link, info, alignment, size of an entry
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")  # name, info, other, section, value, size
DYNAMIC_SYMBOLS = 11
HEADER = """
#include <stdio.h>
#include <stdlib.h>
#define STAND_IN(name) void name(void) { refuse(#name); }
static void refuse(const char *name) {
    fprintf(stderr, "%s: this CNTK runs without MPI, so it trains in one process only.\\n", name);
    abort();
}
"""


def undefined_symbols(library):
    """Names of the dynamic symbols that a 64-bit little-endian ELF file asks for."""
    content = library.read_bytes()
    (table,) = struct.unpack_from("<Q", content, 40)
    size, count = struct.unpack_from("<HH", content, 58)
    sections = [SECTION.unpack_from(content, table + i * size) for i in range(count)]
    names = set()
    for section in sections:
        if section[1] == DYNAMIC_SYMBOLS:
            strings = sections[section[6]][4]
            symbols = content[section[4] : section[4] + section[5]]
            for name, _, _, defined, _, _ in SYMBOL.iter_unpack(symbols):
                if name and not defined:
                    start = strings + name
                    names.add(content[start : content.index(b"\0", start)].decode())
    return names


def mpi_source(symbols):
    """C source of a library that defines the MPI symbols among these."""
    mpi = sorted(s for s in symbols if s.startswith(("MPI_", "ompi_", "_ZN3MPI")))
    # OpenMPI's data types and communicators are objects, all else are functions.
    objects = {s for s in mpi if s.startswith("ompi_mpi_") and "cxx" not in s}
    lines = ["char %s[512];" % s if s in objects else "STAND_IN(%s)" % s for s in mpi]
    return HEADER + "\n".join(lines) + "\n"


def find_compiler():
    """The C compiler as a command line: $CC, or the first of the usual names."""
    for command in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        words = shlex.split(command)
        if words and shutil.which(words[0]):
            return words
    sys.exit(
        "CNTK needs a C compiler to stand in for OpenMPI 1.10, and none was found: install one "
        "(apt-get install gcc libc6-dev, dnf install gcc, conda install gcc_linux-64) or name "
        "it in CC."
    )


def compile_library(compiler, path, source):
    """Compile C source to a shared library of this path; its file name becomes the soname."""
    temporary = path.with_name(path.name + ".part")
    command = [*compiler, "-shared", "-fPIC", "-O1", "-w", "-Wl,-soname," + path.name]
    command += ["-x", "c", "-", "-o", str(temporary)]
    done = subprocess.run(command, input=source.encode(), stderr=subprocess.PIPE)
    if done.returncode:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        sys.exit("%s could not compile %s: %s" % (compiler[0], path.name, reason))
    temporary.rename(path)


def check_import():
    """Import cntk in a process of its own; stop with the reason where that fails."""
    command = [sys.executable, "-W", "ignore", "-c", "import cntk"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        sys.exit("cntk cannot be imported: " + lines[-1])


def main():
    wheel = Path(importlib.util.find_spec("cntk").origin).parent
    libraries = wheel / "libs"
    asking = [*libraries.glob("*Cntk.*.so"), *wheel.parent.glob("_cntk_py*.so")]
    symbols = set().union(*map(undefined_symbols, asking))
    sources = {"libmpi.so.12": mpi_source(symbols), "libmpi_cxx.so.1": ""}
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        sources["libpython3.6m.so.1.0"] = ""
    compiler = find_compiler()
    for name, source in sources.items():
        compile_library(compiler, libraries / name, source)
    check_import()


if __name__ == "__main__":
    main()
