"""What each page shows: the data of its template, and the files beside it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jinja2

from rosetta import registry
from rosetta.project import Project
from rosetta.results import records
from rosetta.results.report import TASK_TITLES, Report
from rosetta.site import (
    charts,
    differences,
    facts,
    families,
    layers,
    notebooks,
    phrases,
    render,
    results,
    safe,
)

HERE = Path(__file__).parent
# Short names of the tasks, where there is little room.
TASK_NAMES = {"cifar10_cnn": "CNN", "imdb_gru": "GRU", "resnet50_features": "ResNet-50"}
TASK_TEXTS = {
    "cifar10_cnn": "Four convolutions and two dense layers learn to tell ten kinds of pictures "
    "apart: the whole of image classification in one page.",
    "imdb_gru": "An embedding and a recurrent layer learn whether a film review praises or pans.",
    "resnet50_features": "A network of 53 convolutions with published weights turns pictures into "
    "vectors: inference, and what moving weights takes.",
}


class Site:
    """The pages of one project as its files are now."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.records, broken = records.read_all(project)
        self.report = Report(project, self.records, broken)
        self.images = render.Images()
        cells = list(self.report.cells.values())
        places = [notebooks.place(record) for record in self.records]
        self.files, refused = safe.published(project, places)
        runs = notebooks.Runs(self.records, self.files)
        self.notebooks = notebooks.load(project, cells, runs, self.images)
        self.families = families.load(project, self.report.frameworks.values())
        self.book = phrases.load(HERE / "phrases.toml", self.notebooks, self.families)
        self.warnings = [*map(str, broken), *refused, *runs.broken, *self.book.warnings]

    def write(self, folder: Path) -> None:
        """Write the pages and what they need into an empty folder."""
        shutil.copytree(HERE / "static", folder / "static")
        for name, context in self._pages().items():
            template = name if name in ("index", *SINGLE_PAGES) else context.get("template", "task")
            page = name if template == "task" else template
            text = self._environment.get_template(f"{template}.html.jinja").render(
                page=page, **context
            )
            (folder / f"{name}.html").write_text(text, encoding="utf-8", newline="\n")
        self.images.write(folder)
        self._copy_results(folder)

    @property
    def tasks(self) -> list[str]:
        return self.report.tasks

    @cached_property
    def rows(self) -> dict[str, str]:
        """The titles of all rows that have a notebook, by name."""
        seen = {notebook.row: notebook.framework.title for notebook in self.notebooks}
        return dict(sorted(seen.items(), key=lambda item: item[1].lower()))

    def _pages(self) -> dict[str, Mapping[str, Any]]:
        tasks = {task: self._task(task) for task in self.tasks}
        table = differences.load(HERE / "differences.toml", self.families)
        single: dict[str, Mapping[str, Any]] = {
            "index": {
                "glance": results.glance(self.report, self.rows),
                "presets": self._presets(),
            },
            "translate": {
                "table": table,
                "samples": differences.samples(table, self.book, self.notebooks),
                "families": self._families(),
                "presets": self._presets(),
            },
            "phrases": {"book": self.book},
            "layers": {"table": layers.load(self.families)},
            **results.pages(self.report, self.files),
            "facts": {"facts": facts.table(self.report.frameworks)},
        }
        return single | tasks

    def _task(self, task: str) -> dict[str, Any]:
        mine = sorted(
            (notebook for notebook in self.notebooks if notebook.task == task),
            key=lambda notebook: notebook.framework.title.lower(),
        )
        steps = notebooks.steps(task)
        used = [name for name in steps if any(each.sections[name] for each in mine)]
        titles = {notebook.row: notebook.framework.title for notebook in mine}
        return {
            "task": task,
            "notebooks": mine,
            "sections": used,
            "row_families": charts.grouped(titles),
        }

    def _families(self) -> dict[str, str]:
        """Return the notebook's name of every row: what the facts on differences speak of."""
        return {each.row: each.framework.notebook or "" for each in self.notebooks}

    def _presets(self) -> dict[str, list[str]]:
        return {
            task: [each.row for each in self.notebooks if each.task == task] for task in self.tasks
        }

    def _copy_results(self, folder: Path) -> None:
        for name, file in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / name)

    @cached_property
    def _environment(self) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("rosetta.site"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        environment.globals.update(
            tasks=self.tasks,
            task_names=TASK_NAMES,
            task_titles={task: title[0].upper() + title[1:] for task, title in TASK_TITLES.items()},
            task_texts=TASK_TEXTS,
            headings=notebooks.headings(self.notebooks),
            rows=self.rows,
            row_families=charts.grouped(self.rows),
            pair=self.pair(),
        )
        environment.filters.update(code=render.code, prose=render.prose, inline=render.inline)
        return environment

    def pair(self) -> list[str]:
        """Return the two rows that a page shows when its address names none."""
        familiar = {each.row: each.framework.familiar or math.inf for each in self.notebooks}
        return sorted(self.rows, key=familiar.__getitem__)[:2]


SINGLE_PAGES = ("translate", "phrases", "layers", "results", "facts")
assert set(registry.TASKS) == set(TASK_NAMES) == set(TASK_TEXTS)
