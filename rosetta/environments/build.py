"""The environments of the kernels: a Python with exact packages for each row, built by uv."""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rosetta.errors import Unavailable, UserError
from rosetta.project import Project
from rosetta.registry import Framework

Log = Callable[[str], None]

# What every environment holds besides the packages of its row.
KERNEL_PACKAGES = ("ipykernel", "matplotlib", "numpy")
STAMP = "rosetta-stamp.json"
# Gigabytes of an environment whose row does not say: a typical one, and one with CUDA libraries.
TYPICAL_GIGABYTES = {"cpu": 1.0, "gpu": 6.0}
REASON_LENGTH = 300  # letters of a message that goes into a record
WORKERS = 3  # builds side by side: they wait for the network most of the time

# pip's settings and the variables by which uv reads the same.
UV_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
}


def folder(project: Project, framework: Framework, device: str) -> Path:
    """Return the folder of a row's environment; rows that share one have the same."""
    suffix = "-gpu" if device == "gpu" else ""
    return project.environments / (framework.environment + suffix)


def interpreter(environment: Path) -> Path:
    """Return the Python inside an environment's folder."""
    if os.name == "nt":
        return environment / "Scripts" / "python.exe"
    return environment / "bin" / "python"


def is_ready(project: Project, framework: Framework, device: str) -> bool:
    """Say whether the environment is there and up to date. Starts no process."""
    environment = folder(project, framework, device)
    try:
        stamp = json.loads((environment / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    # A link to an interpreter that was since removed does not exist either.
    return stamp == _stamp(project, framework, device) and interpreter(environment).exists()


def ensure(project: Project, framework: Framework, device: str, log: Log) -> Path:
    """Return the interpreter of a row's environment, built first where it is not ready.

    Raises Unavailable with the reason where it cannot be built.
    """
    from filelock import FileLock

    environment = folder(project, framework, device)
    if not framework.packages.get(device):
        raise Unavailable(f"{framework.title} has no build for a GPU here: use --device cpu")
    if not is_ready(project, framework, device):
        (project.state / "logs").mkdir(parents=True, exist_ok=True)
        with FileLock(project.state / f"env-{environment.name}.lock"):
            if not is_ready(project, framework, device):
                _build(project, framework, device, log)
    return interpreter(environment)


def ensure_many(
    project: Project, frameworks: Iterable[Framework], device: str, log: Log
) -> dict[str, Path | Unavailable]:
    """Return the interpreter of every row by name, or why it has none; builds side by side."""
    frameworks = list(frameworks)
    first = {framework.environment: framework for framework in frameworks}

    def attempt(framework: Framework) -> Path | Unavailable:
        try:
            return ensure(project, framework, device, log)
        except Unavailable as reason:
            return reason

    if all(is_ready(project, framework, device) for framework in first.values()):
        built = {name: attempt(framework) for name, framework in first.items()}
    else:
        _stopped.clear()
        with ThreadPoolExecutor(WORKERS) as pool:
            try:
                built = dict(zip(first, pool.map(attempt, first.values()), strict=True))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                _stop_all()
                raise
    return {framework.name: built[framework.environment] for framework in frameworks}


def plan(project: Project, frameworks: Iterable[Framework], device: str) -> list[str]:
    """Return a line for each environment that has yet to be built: its Python and its size."""
    lines = {}
    for framework in frameworks:
        if framework.packages.get(device) and not is_ready(project, framework, device):
            lines[framework.environment] = (
                f"{folder(project, framework, device).name}: Python {framework.python}, "
                f"{', '.join(framework.packages[device])}, about {_gigabytes(framework, device)} GB"
            )
    return list(lines.values())


def find_python(version: str, log: Log | None = None) -> Path:
    """Return an interpreter of a version such as "3.6", downloaded by uv where there is none.

    Looks on the PATH, under pyenv, in conda and among the builds that uv manages. Raises
    Unavailable that says how to get it.
    """
    for candidate in _candidates(version):
        found = _probe(candidate, version)
        if found:
            return found
    if log:
        log(f"Python {version} was not found here: asking uv to download it")
    uv = [uv_executable(), "python"]
    subprocess.run([*uv, "install", version], capture_output=True, env=uv_settings())
    managed = _uv_managed(version)
    if managed:
        return managed
    raise Unavailable(
        f"needs Python {version}, which is not on the PATH, under pyenv or in conda, and which uv "
        f"could not download: get it with 'pyenv install {version}' or "
        f"'conda create -n python{version} python={version}'"
    )


def lock(project: Project, framework: Framework, log: Log) -> Path:
    """Resolve a row's packages, CPU and CUDA builds alike, into frameworks/NAME.lock.

    Raises UserError where they cannot be resolved.
    """
    name = framework.environment
    pins: dict[str, str] = {}
    for device in framework.packages:
        log(f"{name}: resolving the {device} packages for Python {framework.python}")
        pins = {**_resolve(project, framework, device, pins), **pins}
    target = _lock_file(project, framework)
    temporary = target.with_name(target.name + ".tmp")
    lines = [f"{package}=={version}\n" for package, version in sorted(pins.items())]
    head = f"# Exact versions for Python {framework.python}, from: python run_all.py lock {name}\n"
    temporary.write_text(head + "".join(lines), encoding="utf-8")
    temporary.replace(target)
    return target


def parse_pins(text: str) -> dict[str, str]:
    """Return {package: version} of the `name==version` lines of a lock, local versions stripped.

    A CPU build (2.13.0+cpu) and a CUDA build (2.13.0+cu130) of one version then both satisfy it.
    """
    pairs = re.findall(r"^([A-Za-z0-9][\w.-]*)==([^\s;+]+)", text, re.MULTILINE)
    return dict(pairs)


def register_kernel(project: Project, framework: Framework, device: str) -> Path:
    """Offer a row's environment to the user's JupyterLab; return the folder of its kernelspec."""
    from jupyter_core.paths import jupyter_data_dir

    target = Path(jupyter_data_dir()) / "kernels" / f"rosetta-{framework.name}"
    python = interpreter(folder(project, framework, device))
    spec: dict[str, Any] = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"Rosetta: {framework.title}",
        "language": "python",
        "env": dict(framework.variables),
    }
    if "ROSETTA_DATA" in os.environ:
        spec["env"]["ROSETTA_DATA"] = str(project.data)
    target.mkdir(parents=True, exist_ok=True)
    (target / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n", encoding="utf-8")
    return target


def pip_settings() -> dict[str, str]:
    """Return what pip was told here (its files and PIP_* variables), by the name of the option."""
    settings = {}
    for key, value in re.findall(r"^([\w.:-]+)=(['\"].*)$", _pip_files(), re.MULTILINE):
        settings[key.rpartition(".")[2]] = str(ast.literal_eval(value))
    for key, value in os.environ.items():
        if key.startswith("PIP_") and value:
            settings[key[4:].lower().replace("_", "-")] = value
    return settings


@functools.cache
def _pip_files() -> str:
    if not importlib.util.find_spec("pip"):
        return ""
    command = [sys.executable, "-m", "pip", "config", "list"]
    return subprocess.run(command, capture_output=True, text=True).stdout


def uv_settings() -> dict[str, str]:
    """Return the environment for uv: what pip was told holds for it too, unless it was told so."""
    environment = dict(os.environ)
    for option, value in pip_settings().items():
        variable = UV_VARIABLES.get(option)
        if variable:
            # pip separates several places by spaces, uv those of find-links by commas.
            several = ",".join(value.split()) if option == "find-links" else " ".join(value.split())
            environment.setdefault(variable, several)
    if "UV_INDEX" in environment:
        # As pip does it; uv would take a package from the first index that has it in any version.
        environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return environment


_finding_uv = threading.Lock()


def uv_executable() -> str:
    """Return the path of uv: from its PyPI package, or (in conda) from the PATH."""
    # It asks sysconfig, which before Python 3.13 answers None while another thread makes it ready.
    with _finding_uv, contextlib.suppress(ImportError, FileNotFoundError):
        import uv

        return uv.find_uv_bin()
    found = shutil.which("uv")
    if not found:
        raise UserError("uv is missing: install it with 'pip install uv'")
    return found


# --- building ---------------------------------------------------------------------------------


def _build(project: Project, framework: Framework, device: str, log: Log) -> None:
    from rosetta import processes

    environment = folder(project, framework, device)
    name = environment.name
    processes.kill_orphans(project)  # a build whose runner was killed may still go on
    _check_space(project, framework, device)
    python = find_python(framework.python, log)
    log(f"{name}: building (Python {framework.python}, {', '.join(framework.packages[device])})")
    shutil.rmtree(environment, ignore_errors=True)  # outdated, or half-made by a killed run
    output = project.state / "logs" / f"env-{name}.log"
    output.write_text("", encoding="utf-8")
    uv = uv_executable()
    _run(project, [uv, "venv", "--python", str(python), str(environment)], output)
    _install(project, framework, device, output, log)
    packages = _packages_folder(environment)
    # Relative, which Python allows: it stays right when the repository is moved.
    line = os.path.relpath(project.root, packages)
    (packages / "rosetta.pth").write_text(line + "\n", encoding="utf-8")
    if not _uv_compiles(framework):
        _compile(environment, packages)
    if framework.build:
        script = project.frameworks / framework.build
        _run(project, [str(interpreter(environment)), str(script)], output)
    stamp = json.dumps(_stamp(project, framework, device), indent=1)
    (environment / STAMP).write_text(stamp, encoding="utf-8")  # last: this makes it ready
    log(f"{name}: ready")


def _install(project: Project, framework: Framework, device: str, output: Path, log: Log) -> None:
    python = interpreter(folder(project, framework, device))
    command = [uv_executable(), "pip", "install", "--python", str(python)]
    command += ["--compile-bytecode"] if _uv_compiles(framework) else []
    command += _requirements(framework, device)
    if _lock_file(project, framework).is_file():
        # For the building of source packages too: an old setup.py needs the setuptools of its time.
        lock_file = str(_lock_file(project, framework))
        command += ["-c", lock_file, "--build-constraints", lock_file]
    if not _wants_cpu_torch(framework, device):
        _run(project, command, output)
        return
    try:
        _run(project, [*command, "--torch-backend", "cpu"], output)
    except Unavailable:
        log(f"{framework.environment}: no CPU build of torch to be had, taking the default one")
        _run(project, command, output)


def _wants_cpu_torch(framework: Framework, device: str) -> bool:
    """Say whether PyTorch's own index should be asked, as its PyPI packages bring 4 GB of CUDA."""
    holds_torch = any(re.match(r"torch\b", each) for each in framework.packages[device])
    return device == "cpu" and holds_torch and not uv_settings().get("UV_FIND_LINKS")


def _packages_folder(environment: Path) -> Path:
    command = [str(interpreter(environment)), "-c"]
    command += ["import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(command, capture_output=True, text=True).stdout.strip())


def _uv_compiles(framework: Framework) -> bool:
    """Say whether uv can compile to bytecode at once, so that no measured start has to."""
    return _numbers(framework.python) >= [3, 7]


def _compile(environment: Path, packages: Path) -> None:
    """Compile what can be: some packages hold files for other versions of Python."""
    command = [str(interpreter(environment)), "-m", "compileall", "-qq", "-j", "0", str(packages)]
    subprocess.run(command, capture_output=True)


def _check_space(project: Project, framework: Framework, device: str) -> None:
    need = _gigabytes(framework, device)
    free = shutil.disk_usage(project.root).free / 1e9
    if free < need:
        raise Unavailable(
            f"its environment needs about {need} GB, and the disk of the repository has "
            f"{free:.1f} GB left: make room and run again"
        )


def _gigabytes(framework: Framework, device: str) -> float:
    return framework.gigabytes.get(device, TYPICAL_GIGABYTES[device])


def _requirements(framework: Framework, device: str) -> list[str]:
    return [*framework.packages[device], *KERNEL_PACKAGES]


def _lock_file(project: Project, framework: Framework) -> Path:
    return project.frameworks / f"{framework.environment}.lock"


def _stamp(project: Project, framework: Framework, device: str) -> dict[str, object]:
    """Return all that an environment is made of; a built one keeps it as its stamp."""
    return {
        "python": framework.python,
        "requirements": _requirements(framework, device),
        "lock": _digest(_lock_file(project, framework)),
        "build": _digest(project.frameworks / framework.build) if framework.build else None,
    }


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _resolve(
    project: Project, framework: Framework, device: str, pins: dict[str, str]
) -> dict[str, str]:
    """Return the versions that uv picks for one device, those of `pins` where it can."""
    project.state.mkdir(parents=True, exist_ok=True)
    constraints = project.state / f"lock-{framework.environment}.txt"
    constraints.write_text("".join(f"{k}=={v}\n" for k, v in pins.items()), encoding="utf-8")
    asked = constraints.with_name(f"build-{framework.environment}.txt")
    plain = [each for each in framework.packages.get(device, ()) if "[" not in each]
    asked.write_text("\n".join(plain), encoding="utf-8")
    command = [uv_executable(), "pip", "compile", "-", "--no-header", "--no-annotate", "--quiet"]
    command += ["--python-version", framework.python, "--constraints", str(constraints)]
    command += ["--build-constraints", str(asked)]
    wanted = "\n".join(_requirements(framework, device))
    done = subprocess.run(
        command, input=wanted, capture_output=True, text=True, env=uv_settings(), cwd=project.root
    )
    constraints.unlink()
    asked.unlink()
    if done.returncode:
        reason = project.sanitise(_reason(done.stderr))
        raise UserError(f"{framework.environment}: no versions fit together: {reason}")
    return parse_pins(done.stdout)


# --- interpreters -----------------------------------------------------------------------------


def _candidates(version: str) -> Iterator[Path]:
    """Yield the places where an interpreter of this version may be, best first."""
    yield Path(sys.executable)
    name = f"python{version}"
    for command in (name, "python3", "python"):
        found = shutil.which(command)
        if found:
            yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for home in sorted(
        pyenv.glob(version + ".*"), key=lambda path: _numbers(path.name), reverse=True
    ):
        yield home / "bin" / name
        yield home / "python.exe"
    for home in _conda_homes():
        yield home / "bin" / name
        yield home / "python.exe"
    managed = _uv_managed(version)
    if managed:
        yield managed


def _conda_homes() -> Iterator[Path]:
    """Yield conda's environments: the active one, the base, and all that conda wrote down."""
    if "CONDA_PREFIX" in os.environ:
        yield Path(os.environ["CONDA_PREFIX"])
    if "CONDA_EXE" in os.environ:
        base = Path(os.environ["CONDA_EXE"]).parent.parent
        yield base
        yield from sorted((base / "envs").glob("*"))
    listed = Path.home() / ".conda" / "environments.txt"
    if listed.is_file():
        yield from map(Path, listed.read_text(encoding="utf-8").split("\n"))


def _uv_managed(version: str) -> Path | None:
    command = [uv_executable(), "python", "find", "--managed-python", "--no-python-downloads"]
    done = subprocess.run([*command, version], capture_output=True, text=True, env=uv_settings())
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def _probe(python: Path, version: str) -> Path | None:
    """Return the real path of an interpreter if it starts and is of this version.

    What is found on the PATH may be a shim of pyenv, which fails or stands for another version.
    """
    if not python.is_file():
        return None
    code = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.executable)"
    try:
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found, _, path = done.stdout.strip().partition("\n")
    return Path(path) if done.returncode == 0 and found == version else None


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


# --- processes --------------------------------------------------------------------------------

_running: set[subprocess.Popen[bytes]] = set()
_running_lock = threading.Lock()
_stopped = threading.Event()


def _run(project: Project, command: list[str], output: Path) -> None:
    """Run one step of a build, its output appended to a log; raise Unavailable if it fails."""
    from rosetta import processes

    # Marked, so that the next run finds what a killed one left behind.
    variables = {**uv_settings(), processes.VARIABLE: processes.mark(project)}
    with output.open("ab") as stream:
        start = stream.tell()
        with _running_lock:
            if _stopped.is_set():
                raise Unavailable("its environment was not built: interrupted")
            process = subprocess.Popen(
                command, stdout=stream, stderr=stream, env=variables, cwd=project.root
            )
            _running.add(process)
        code = process.wait()
        with _running_lock:
            _running.discard(process)
    if code:
        text = output.read_bytes()[start:].decode("utf-8", "replace")
        reason = project.sanitise(_reason(text)) or f"exit code {code}"
        log = project.relative(output)
        raise Unavailable(f"its environment could not be built: {reason} (more in {log})")


def _stop_all() -> None:
    """End the builds under way, so that Ctrl-C leaves none behind."""
    with _running_lock:
        _stopped.set()
        for process in _running:
            process.terminate()


def _reason(text: str) -> str:
    """Return in one line what went wrong: from uv's error on, or a script's last words."""
    lines = [line.strip(" ×╰─▶│├·\t\r") for line in text.splitlines()]
    lines = [line for line in lines if line]
    errors = [number for number, line in enumerate(lines) if line.startswith("error:")]
    said = " ".join(lines[errors[0] :] if errors else lines[-1:]).removeprefix("error: ")
    return said if len(said) <= REASON_LENGTH else said[:REASON_LENGTH] + "..."
