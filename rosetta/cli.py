"""The command line: what `python run_all.py` understands. Imports late, so that it starts fast."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from rosetta import signals
from rosetta.errors import MACHINE_ERRORS, Unavailable, UserError
from rosetta.options import DEVICES, PROFILES, Options
from rosetta.project import Project, home
from rosetta.registry import TASKS, Framework, load, select, unknown

NAME_LENGTH = 200

EXAMPLES = """\
  python run_all.py                            all tasks in all frameworks, then results.md
  python run_all.py --framework pytorch,cntk   two frameworks
  python run_all.py --task imdb_gru --force    one task, even if nothing has changed
  python run_all.py --mirror /media/datasets   with data sets from a folder, or a URL
  python run_all.py list                       the matrix: what has run, what is stale
  python run_all.py lab                        the notebooks in JupyterLab
"""


class Commands(click.Group):
    """A group whose first word may be left out: then it is `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            raise UserError(unknown(args[0], self.commands, "command"))
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show examples, the commands, and the options of `run`, which need no command."""
        with formatter.section("Examples"):
            formatter.write(EXAMPLES)
        self.format_commands(ctx, formatter)
        _write_options(self.commands["run"], ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text("'python run_all.py COMMAND --help' tells more of a command.")

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of this file, not of the alphabet


class Run(click.Command):
    """A command whose help groups its options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_options(self, ctx, formatter)


# The groups of the options of `run`, in the order of the help.
OPTION_GROUPS = {
    "What to run": ("tasks", "frameworks", "profile", "device", "seed"),
    "How to run it": ("force", "repeats", "timeout", "scheduler", "save_outputs"),
    "Data and interpreters": ("mirror", "here", "python"),
}


def _write_options(
    command: click.Command, ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    parameters = {parameter.name: parameter for parameter in command.params}
    for title, names in OPTION_GROUPS.items():
        rows = [parameters[name].get_help_record(ctx) for name in names]
        with formatter.section(title):
            formatter.write_dl([row for row in rows if row])


@click.group(
    cls=Commands,
    subcommand_metavar="[COMMAND] [OPTIONS]",
    options_metavar="",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def commands() -> None:
    """Train the same networks in every framework, prove that they are the same, measure them.

    Without a command it runs what has changed since the last time: fetches the data sets, builds
    the environments, executes the notebooks, writes the records and results.md.
    """


def _names(known: Callable[[], Sequence[str]], what: str) -> Callable[..., tuple[str, ...]]:
    """Return a callback for an option that takes names, several of them or with commas."""

    def callback(ctx: click.Context, option: click.Parameter, value: Any) -> tuple[str, ...]:
        names = [name.strip() for each in value for name in each.split(",")]
        if value and not any(names):
            raise UserError(f"nothing selected: name a {what}, or leave the option out")
        return tuple(select(filter(None, names), known(), what)) if value else ()

    return callback


def _one_of(known: Sequence[str], what: str) -> Callable[..., str | None]:
    def callback(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
        return select([value], known, what)[0] if value is not None else None

    return callback


def _within(least: float, most: float) -> Callable[..., Any]:
    def callback(ctx: click.Context, option: click.Parameter, value: float | None) -> float | None:
        if value is not None and not least <= value <= most:
            raise UserError(f"--{option.name} must be from {least:,.0f} to {most:,.0f}")
        return value

    return callback


def _frameworks() -> list[str]:
    return list(load(Project.here()))


task_option = click.option(
    "--task", "tasks", multiple=True, metavar="NAME", callback=_names(lambda: TASKS, "task"),
    help=f"{', '.join(TASKS)}; several with commas. Default: all.",
)  # fmt: skip
framework_option = click.option(
    "--framework", "frameworks", multiple=True, metavar="NAME",
    callback=_names(_frameworks, "framework"),
    help="A row of the tables, as in 'list'; several with commas. Default: all.",
)  # fmt: skip
profile_option = click.option(
    "--profile", metavar="NAME", callback=_one_of(PROFILES, "profile"),
    help="How much work: smoke, quick or full. Default: quick, with a GPU full.",
)  # fmt: skip
device_option = click.option(
    "--device", default="auto", metavar="NAME", callback=_one_of(DEVICES, "device"),
    help="cpu, gpu or auto, which is the GPU where there is one. Default: auto.",
)  # fmt: skip
mirror_option = click.option(
    "--mirror", metavar="DIR_OR_URL",
    help="Take the data sets from here; it holds the archives and a SHA256SUMS.",
)  # fmt: skip


scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS",
    help="Run on the workers of this Dask cluster (see docs/cluster.md).",
)  # fmt: skip


@commands.command(cls=Run)
@task_option
@framework_option
@profile_option
@device_option
@click.option(
    "--seed", default=0, metavar="N", callback=_within(0, 2**31 - 1),
    help="Of the weights and the order of the examples. Default: 0.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Run what has not changed, too.")
@click.option(
    "--repeats", default=1, metavar="N", callback=_within(1, 1000),
    help="Run each N times; record the medians and the spread. Default: 1.",
)  # fmt: skip
@click.option(
    "--timeout", type=float, metavar="SECONDS", callback=_within(1, 1e7),
    help="End a notebook after this time. Default: what its profile allows.",
)  # fmt: skip
@scheduler_option
@click.option("--save-outputs", is_flag=True, help="Write the outputs into notebooks/ as well.")
@mirror_option
@click.option(
    "--here", is_flag=True, help="Use the Python that started this for every row; build nothing."
)
@click.option("--python", metavar="PATH", help="Like --here, with another Python.")
def run(here: bool, python: str | None, **chosen: Any) -> int:
    """Run what has changed, then write results.md (the default)."""
    scheduler = chosen["scheduler"]
    asked = _interpreter_of_workers(here, python) if scheduler else _interpreter(here, python)
    return int(_runs(scheduler).run(Project.here(), Options(python=asked, **chosen)))


def _runs(scheduler: str | None) -> Any:
    """Return the module that runs the matrix: here, or on a cluster."""
    if scheduler is None:
        from rosetta.runs import runner

        return runner
    from rosetta.bootstrap import add

    add("cluster", "Dask")
    from rosetta.runs import cluster

    return cluster


def _interpreter_of_workers(here: bool, python: str | None) -> Path | None:
    """Return the path of an interpreter on the workers, which only they can look at."""
    if here:
        raise UserError("--here is not for a cluster: name the workers' Python with --python PATH")
    if python and not Path(python).is_absolute():
        raise UserError("--python: with --scheduler, give its whole path on the workers")
    return Path(python) if python else None


def _interpreter(here: bool, python: str | None) -> Path | None:
    if here and python:
        raise UserError("--here and --python exclude each other: choose one")
    if here:
        from rosetta.bootstrap import STARTED

        return Path(os.environ.get(STARTED, sys.executable))
    if python is None:
        return None
    if not os.path.isfile(python):  # noqa: PTH113, for which no path is too long
        shown = _shown(python)
        raise UserError(f"--python: there is no file '{shown}': give the path of an interpreter")
    return Path(python).absolute()


@commands.command("list")
@task_option
@framework_option
@profile_option
@device_option
@scheduler_option
@click.option("--times", is_flag=True, help="Say about how long each cell takes on this machine.")
def list_(**chosen: Any) -> None:
    """Show the matrix with the state of each cell."""
    if chosen["times"] and chosen["scheduler"]:
        raise UserError("--times is for this machine: leave --scheduler out")
    _runs(chosen["scheduler"]).show_cells(Project.here(), Options(**chosen))


@commands.command()
@task_option
@click.option(
    "--from", "origins", multiple=True, metavar="NAME", callback=_names(_frameworks, "framework"),
    help="Rows whose trained weights are moved. Default: all.",
)  # fmt: skip
@click.option(
    "--to", "targets", multiple=True, metavar="NAME", callback=_names(_frameworks, "framework"),
    help="Rows into which they are loaded. Default: all.",
)  # fmt: skip
@click.option(
    "--profile", metavar="NAME", callback=_one_of(PROFILES, "profile"),
    help="Of the runs that trained the weights. Default: the fullest there is.",
)  # fmt: skip
@device_option
@click.option(
    "--jobs", type=int, metavar="N", callback=_within(1, 1000),
    help="Targets at once, each on cores of its own. Default: one for each core, as memory goes.",
)  # fmt: skip
@click.option(
    "--layers", is_flag=True, help="Compare layer by layer, and name the first that differs."
)
@click.option("--force", is_flag=True, help="Move what has not changed, too.")
@click.option("--here", is_flag=True, help="Use the Python that started this for every row.")
@click.option("--python", metavar="PATH", help="Like --here, with another Python.")
def transplant(here: bool, python: str | None, **chosen: Any) -> int:
    """Move trained weights from any framework to any other, and prove that nothing changed."""
    from rosetta.transplant import runner

    asked = runner.Asked(python=_interpreter(here, python), **chosen)
    return int(runner.run(Project.here(), asked))


@commands.command("variants")
@task_option
@framework_option
@click.option(
    "--rounds", default=5, metavar="N", callback=_within(1, 1000),
    help="How often each is run, in turn. Default: 5.",
)  # fmt: skip
@click.option(
    "--profile", default="quick", metavar="NAME", callback=_one_of(PROFILES, "profile"),
    help="How much work: smoke, quick or full. Default: quick.",
)  # fmt: skip
@device_option
@click.option("--force", is_flag=True, help="Measure what has not changed, too.")
@click.option("--here", is_flag=True, help="Use the Python that started this for every row.")
@click.option("--python", metavar="PATH", help="Like --here, with another Python.")
def variants_(here: bool, python: str | None, **chosen: Any) -> int:
    """Measure notebooks beside the other settings that were considered, in turn."""
    from rosetta.variants import runner

    asked = runner.Asked(python=_interpreter(here, python), **chosen)
    return int(runner.run(Project.here(), asked))


@commands.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@device_option
@click.option("--jupyter", is_flag=True, help="Offer them as kernels in your own JupyterLab.")
@click.option("--remove", is_flag=True, help="With --jupyter: take these kernels away again.")
def env(names: tuple[str, ...], device: str, jupyter: bool, remove: bool) -> int:
    """Build environments ('all' for every one)."""
    from rosetta.environments import build, kernels
    from rosetta.runs.machine import choose_device
    from rosetta.runs.watch import watched

    project, rows = Project.here(), _rows(names)
    if remove:
        if not jupyter:
            raise UserError("--remove takes kernels away: say --jupyter --remove")
        gone = kernels.remove(project, [] if "all" in names else [row.name for row in rows])
        _say(f"Removed: {', '.join(gone)}" if gone else "Nothing to remove.")
        return 0
    device = choose_device(device)
    plan = build.plan(project, rows, device)
    for line in ["Environments to build:", *(f"  {line}" for line in plan)] if plan else []:
        _say(line)
    with watched(project):
        built = build.ensure_many(project, rows, device, _say)
    for row in rows:
        outcome = built[row.name]
        if isinstance(outcome, Unavailable):
            _say(f"{row.name}: {outcome}")
        elif jupyter:
            kernels.register(project, row, device)
            _say(f"{row.name}: JupyterLab offers it as '{kernels.title(project, row)}'")
        else:
            _say(f"{row.name}: {project.relative(outcome)}")
    return int(any(isinstance(outcome, Unavailable) for outcome in built.values()))


@commands.command(hidden=True)
@click.argument("folder")
def answer(folder: str) -> None:
    """Answer the question in a folder, on a worker of a cluster."""
    from rosetta.runs import remote

    remote.answer(Project.here(), Path(folder))


@commands.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@device_option
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def lab(names: tuple[str, ...], device: str, no_browser: bool) -> int:
    """Open the notebooks in JupyterLab, a kernel for each row (those that are built).

    Kernels, settings and logs stay in this folder.
    """
    from rosetta.bootstrap import add
    from rosetta.environments import build, kernels
    from rosetta.runs.machine import choose_device
    from rosetta.runs.watch import watched

    project, device = Project.here(), choose_device(device)
    rows = _rows(names or ("all",))
    if names:
        with watched(project):
            built = build.ensure_many(project, rows, device, _say)
        for row in rows:
            if isinstance(built[row.name], Unavailable):
                raise UserError(f"{row.name}: {built[row.name]}")
    rows = [row for row in rows if build.is_ready(project, row, device)]
    if not rows:
        raise UserError("no environment is built yet: name rows, as in 'lab pytorch'")
    add("lab", "JupyterLab")
    _say(f"Kernels: {', '.join(row.name for row in rows)}")
    with watched(project):
        return kernels.lab(project, rows, device, ["--no-browser"] if no_browser else [])


@commands.command()
@mirror_option
def data(mirror: str | None) -> int:
    """Fetch and convert the data sets of all tasks."""
    from rosetta.data import datasets

    found = datasets.ensure(Project.here(), TASKS, mirror, _say, retry=True)
    for task, outcome in found.items():
        weights = "" if outcome["weights"] == "initial" else f", {outcome['weights']} weights"
        reason = f" ({outcome['reason']})" if outcome["reason"] else ""
        _say(f"{task}: {outcome['data']} data{weights}{reason}")
    return 0


@commands.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--upgrade", is_flag=True, help="Move the row's pins to the newest releases first.")
def lock(names: tuple[str, ...], upgrade: bool) -> int:
    """Write the exact versions of environments: NAME.lock."""
    from rosetta.environments import lock, releases
    from rosetta.runs.watch import watched

    known = load(Project.here())
    project, rows = Project.here(), {row.environment: row for row in _rows(names)}
    with watched(project):
        for name, row in rows.items():
            made = releases.upgrade(project, known[name], _say) if upgrade else None
            _say(project.relative(made or lock.write(project, row, _say)))
    return 0


@commands.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
def outdated(names: tuple[str, ...]) -> int:
    """List the packages of rows (of all) that have newer releases."""
    from rosetta.environments import releases

    known = load(Project.here())
    rows = [known[name] for name in {row.environment: None for row in _rows(names or ("all",))}]
    newest = max((row.python for row in rows), key=lambda each: [*map(int, each.split("."))])
    found = 0
    for name, pins in releases.look_up(rows, newest).items():
        for pin in filter(lambda each: each.outdated, pins):
            other = f", {pin.elsewhere} for Python {newest}" if pin.elsewhere else ""
            _say(f"{name}: {pin.package} {pin.pinned}, newest {pin.newest}{other}")
            found += 1
    if not found:
        _say("All rows have the newest releases for their Python.")
    return 0


@commands.command(context_settings={"ignore_unknown_options": True})
@click.option("--fast", is_flag=True, help="Leave out what needs the environments of frameworks.")
@click.argument("arguments", nargs=-1, metavar="[PYTEST ARGUMENTS]", type=click.UNPROCESSED)
def test(fast: bool, arguments: tuple[str, ...]) -> int:
    """Check style and types, run the tests."""
    import subprocess

    from rosetta.bootstrap import ROOT, add
    from rosetta.runs.watch import watched

    add("test", "the test tools")
    add("cluster", "Dask")  # whose runs are tested, too
    # Side by side: each file as a whole, as what its tests need is made once; of the notebooks each
    # where there is room, on cores of its own (tests/conftest.py).
    files = ["-n", "auto", "--dist", "loadfile"]
    single = ["-n", "auto", "--dist", "worksteal"]
    # A selection of the user's may leave one of them without tests, which pytest calls 5.
    passed = (0, 5) if arguments else (0,)
    long = (
        ["pytest", "-m", "slow and not notebooks", *files, *arguments],
        ["pytest", "-m", "notebooks", *single, *arguments],
    )
    checks = (
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["mypy"],
        ["pytest", "-m", "not notebooks and not slow", *files, *arguments],
        *(() if fast else long),
    )
    failed = []
    with watched(Project.here()):
        for words in checks:
            _say(f"$ {' '.join(words)}")
            if subprocess.run([sys.executable, "-m", *words], cwd=ROOT).returncode not in passed:
                failed.append(" ".join(words[:2]))
    _say(f"Failed: {', '.join(failed)}" if failed else "All good.")
    return 1 if failed else 0


@commands.command()
def report() -> None:
    """Write results.md from the records alone."""
    from rosetta.results import report

    report.write(Project.here())


@commands.command()
@click.option(
    "--output", default="site", metavar="DIR", help="Where the pages are written. Default: site."
)
def site(output: str) -> None:
    """Build static pages: side by side, phrase book, results."""
    from rosetta.site.build import build

    project = Project.here()
    if home() is None:  # nbconvert looks for settings there, and cannot do without
        os.environ["HOME"] = str(project.state)
    build(project, Path(output).absolute(), _say)


def _rows(names: tuple[str, ...]) -> list[Framework]:
    """Return the rows of these names that have notebooks; "all" stands for every one."""
    rows = {name: row for name, row in load(Project.here()).items() if row.notebook}
    wanted = [] if "all" in names else [part for name in names for part in name.split(",") if part]
    return [rows[name] for name in select(wanted, rows, "framework")]


def _say(line: str) -> None:
    click.echo(line)
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 all well, 1 something failed, 2 wrong input."""
    with signals.heeded():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    _make_output_safe()
    project = Project.here()
    try:
        project.check()
        code = commands.main(arguments, prog_name="python run_all.py", standalone_mode=False)
        return int(code or 0)
    except click.UsageError as error:
        message = error.format_message()
        if "unexpected extra argument" in message:
            message += ": give several names with commas, as in --framework pytorch,cntk"
        return _complain(message)
    except UserError as error:
        return _complain(str(error))
    except BrokenPipeError:  # as in 'run_all.py list | head': nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{project.relative(_shown(error.filename))}: " if error.filename else ""
        words = MACHINE_ERRORS.get(error.errno or 0, (error.strerror or str(error)).lower())
        return _complain(where + words)
    except MemoryError:
        return _complain(MACHINE_ERRORS[errno.ENOMEM])
    except (KeyboardInterrupt, click.Abort):
        print("interrupted", file=sys.stderr)
        return 130


def _make_output_safe() -> None:
    """Write what no encoding has a word for (names of files may be any bytes) in escapes."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started this
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _shown(name: str | bytes | int) -> str:
    """Return the name of a file in an error message, no longer than anybody reads."""
    text = os.fsdecode(name) if isinstance(name, str | bytes) else f"file {name}"
    return text if len(text) <= NAME_LENGTH else f"{text[:NAME_LENGTH]}..."


def _complain(message: str) -> int:
    """Print one line about what is wrong."""
    print(f"run_all.py: {' '.join(message.split())}", file=sys.stderr)
    return 2
