"""Running an experiment: all of its steps in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.experiments.description import Experiment
from pipelines.experiments.evaluate import Measuring
from pipelines.experiments.fetch import AUTO, Wanted, fetch
from pipelines.experiments.learn import EVENT, TRANSFORMER, Training
from pipelines.experiments.manifest import FileRecord, Outcome, StepRecord, Steps, key_of
from pipelines.experiments.prepare import Preparation
from pipelines.experiments.report import write_report
from vortex_hep.core.progress import SILENT, Progress
from vortex_hep.testing.bench import Comparison

STEPS = ("fetch", "prepare", "train", "evaluate")


@dataclass(frozen=True)
class RunOptions:
    """What a user chooses of a run.

    Parameters
    ----------
    output : Path
        Folder for all that the run makes.
    data : Path, optional
        Folder with the files.
    mode : {"auto", "fetch", "offline"}
        Whether the network is tried, insisted on, or left alone.
    steps : tuple of str
    families : tuple of str
        Families of models to train.
    effort : str, optional
        Of the event model and of compression; the experiment's own by default.
    recipe : str, optional
        Of the transformer: a name, or the path of a YAML file; the experiment's own by default.
    seconds : float, optional
        Time for each training.
    limit_bytes : int, optional
        Largest size of each part, in bytes of the file as it came.
    device : str
    threads : int, optional
    resume : bool
        Whether steps are skipped that have nothing new to do.
    timeout : float
        Seconds that a server may stay silent.
    """

    output: Path
    data: Path | None = None
    mode: str = AUTO
    steps: tuple[str, ...] = STEPS
    families: tuple[str, ...] = (EVENT,)
    effort: str | None = None
    recipe: str | None = None
    seconds: float | None = None
    limit_bytes: int | None = None
    device: str = "auto"
    threads: int | None = None
    resume: bool = True
    timeout: float = 30.0


class Run:
    """A run of an experiment.

    Parameters
    ----------
    experiment : Experiment
    options : RunOptions
    say : callable
        Receives lines for the user.
    progress : Progress
    """

    def __init__(
        self,
        experiment: Experiment,
        options: RunOptions,
        say: Callable[[str], None],
        progress: Progress = SILENT,
    ) -> None:
        self._experiment, self._options = experiment, options
        self._say, self._progress = say, progress
        self._steps = Steps(options.output, options.steps, options.resume, say)

    def __call__(self) -> list[Path]:
        """Run the steps that were asked for.

        Returns
        -------
        list of Path
            The results; empty where "evaluate" was not asked for.

        Raises
        ------
        VortexError
            A step fails; those before it need not be done again.
        """
        last = max(STEPS.index(step) for step in self._options.steps)
        fetched = self._fetch()
        if last == 0:
            return []
        parts = self._prepare(fetched)
        if last == 1:
            return []
        models = {family: self._train(family, parts) for family in self._options.families}
        if last == 2:
            return []
        return [Path(item.path) for item in self._evaluate(fetched, parts, models).outputs]

    def _fetch(self) -> StepRecord:
        options = self._options
        wanted = Wanted(options.output, options.data, options.mode, options.timeout)

        def work() -> Outcome:
            return fetch(self._experiment, wanted, self._say, self._progress)

        # Files that are there are not fetched again, so that this costs little.
        return self._steps.run("fetch", (), {"mode": options.mode}, work, always=True)

    def _prepare(self, fetched: StepRecord) -> StepRecord:
        cutting = self._experiment.cutting
        limit = self._options.limit_bytes
        preparation = Preparation(cutting, limit, self._options.output / "parts", self._say)
        return self._steps.run(
            "prepare",
            fetched.outputs,
            {"cutting": asdict(cutting), "limit_bytes": limit},
            lambda: preparation(fetched.outputs),
        )

    def _train(self, family: str, parts: StepRecord) -> StepRecord:
        options = self._train_options(family)
        inputs = [item for item in parts.outputs if item.role == "train"]
        key = key_of(inputs, options)
        # A checkpoint of another training would be refused.
        checkpoint = self._options.output / "checkpoints" / f"{family}-{key[:12]}"
        training = Training(
            family,
            options | {"threads": self._options.threads},
            self._options.output / "models",
            checkpoint,
        )
        if not self._options.resume:
            training.forget()
        return self._steps.run(
            f"train-{family}",
            inputs,
            options,
            lambda: training(parts.paths("train"), self._progress),
        )

    def _train_options(self, family: str) -> dict[str, Any]:
        """Options of a training that change its outcome, as plain values."""
        learning, chosen = self._experiment.learning, self._options
        options: dict[str, Any] = {
            "trees": list(learning.trees) or None,
            "effort": chosen.effort or learning.effort,
            "seconds": chosen.seconds,
            "device": chosen.device,
        }
        if family == TRANSFORMER:
            return options | {
                "family": TRANSFORMER,
                "recipe": chosen.recipe or learning.recipe,
                "tables": list(learning.tables) or None,
            }
        return options | {"expected_rows": learning.expected_rows}

    def _evaluate(
        self, fetched: StepRecord, parts: StepRecord, models: dict[str, StepRecord]
    ) -> StepRecord:
        options = self._options
        effort = options.effort or "normal"
        measuring = Measuring(
            {family: record.paths("model")[0] for family, record in models.items()},
            options.output / "archives",
            effort=effort,
            device=options.device,
            threads=options.threads,
        )
        context = {
            "origin": fetched.facts["origin"],
            "learnt_from": [path.name for path in parts.paths("train")],
            "cut": parts.facts["events"],
            "training": {name: record.options | record.facts for name, record in models.items()},
        }

        def work() -> Outcome:
            found: list[Comparison] = []
            for path in parts.paths("test"):
                self._say(f"evaluate: {path.name}")
                found.append(measuring(path, self._progress))
            written, notes = write_report(self._experiment, context, found, options.output)
            for note in notes:
                self._say(f"evaluate: {note}")
            return [("results", path) for path in written], {}

        inputs: list[FileRecord] = [item for item in parts.outputs if item.role == "test"]
        inputs += [item for record in models.values() for item in record.outputs]
        chosen = {"effort": effort, "device": options.device, "context": context}
        return self._steps.run("evaluate", inputs, chosen, work)
