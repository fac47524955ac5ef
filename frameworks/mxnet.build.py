"""Link the CUDA libraries, packages of their own, to where libmxnet.so looks for them."""

import os
import pathlib
import sysconfig

packages = pathlib.Path(sysconfig.get_path("purelib"))
for library in sorted(packages.glob("nvidia/*/lib/lib*.so*")):
    link = packages / "mxnet" / library.name
    if not link.exists():
        link.symlink_to(os.path.relpath(library, link.parent))
