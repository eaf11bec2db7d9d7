"""The course of a training, for every kind of model: its stages in order, its runs, and the mean of their models."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import nn
from torch.utils.data import DataLoader

from captioner.models.base import load
from captioner.training.card import ModelCard
from captioner.training.checkpoints import digest_of
from captioner.training.config import Stage, StagedConfig
from captioner.training.loop import Run, Scores
from captioner.training.plan import Step, plan
from captioner.training.record import say
from captioner.training.start import weights_of_init
from captioner.weights import Weights


class Trainable(Protocol):
    """A model as a training sees it."""

    config: Any

    def weights(self) -> Weights:
        """All tensors, which are the model's own."""

    def save(self, folder: Path, card: str) -> None:
        """Write a model folder."""


Config = TypeVar("Config", bound=StagedConfig)
Model = TypeVar("Model", bound=Trainable)


@dataclass(frozen=True)
class Work:
    """What a stage minimises, and on what; see `Run.train`.

    Attributes:
        objective: called with a batch.
        groups: the optimizer's parameter groups.
        loader: batches.
        validate: scores the model as it is when called.
        partial: a step may leave some of the objective's weights out.
    """

    objective: nn.Module
    groups: list[dict[str, Any]]
    loader: DataLoader[Any]
    validate: Callable[[], tuple[float, Scores]]
    partial: bool = False


class Training(ABC, Generic[Config, Model]):
    """One training: the model as it stands, and what trains it.

    A kind of model says what a new one is, what each stage minimises, how the model is scored and what its card says.
    Each stage keeps its best model in a folder of its name in the run folder; the finished one is in `model`.

    Args:
        config: what to do.
        folder: the run folder.
        command: that repeats this training, for the model card.
        device: as `processes.join` takes it.
        resume: continue from the last checkpoint.
    """

    metric: ClassVar[str] = "CIDEr"
    """The validation score that `curves.png` shows."""
    unit: ClassVar[str] = "words"
    """What a step reads, in the plural."""
    split: ClassVar[str] = "val"
    """What a model's configuration calls the data that it was validated on."""
    shared: ClassVar[str | None] = None
    """The stage that runs once, and that every run goes on from."""

    def __init__(self, config: Config, folder: Path, command: str, *, device: str, resume: bool) -> None:
        self.config, self.folder, self.command = config, folder, command
        self._device, self._resume = device, resume
        self.model: Model

    @abstractmethod
    def new_model(self) -> Model:
        """A model that has learnt nothing yet, on the run's device."""

    @abstractmethod
    def prepare(self, stage: Stage, seed: int) -> Work:
        """What a stage does with `self.model`."""

    @abstractmethod
    def validate(self) -> tuple[float, Scores]:
        """Score `self.model` on the validation data: one number that chooses, and what it is made of."""

    @abstractmethod
    def card(self, origin: str, scores: Scores) -> ModelCard:
        """The model card.

        Args:
            origin: where the weights come from.
            scores: what the model scored.
        """

    @abstractmethod
    def material(self) -> Iterable[object]:
        """What is learnt from and validated on, as JSON can say it; a run that is continued must have the same."""

    def pictures(self) -> Iterable[object]:
        """Fingerprints of the pictures that are learnt from and validated on; by default there are none."""
        return ()

    def begin(self, step: Step) -> None:
        """Change `self.model` before a stage that has not begun; by default nothing is to do."""

    @cached_property
    def run(self) -> Run:
        """The run folder's machinery; its device is the training's."""
        return Run(
            self.folder,
            self.config,
            device=self._device,
            resume=self._resume,
            metric=self.metric,
            unit=self.unit,
            data=digest_of(self.material()),
            pictures=digest_of([*weights_of_init(self.config), *self.pictures()]),
        )

    @property
    def device(self) -> torch.device:
        """Of the training."""
        return self.run.accelerator.device

    def run_all(self) -> Path:
        """Run the stages that are left, and write the finished model; returns its folder."""
        steps, ends = plan(self.config.stages, self.config.runs, self.shared)
        for number, step in enumerate(steps):
            if self.run.progress.stages_done <= number:
                # from disk, so that a resumed run begins with the same
                self.model = self.new_model() if step.start is None else self.read(step.start)
                self.begin(step)
                work = self.prepare(step.stage, self.config.seed + number)
                self.run.train(
                    step.name,
                    number,
                    step.stage,
                    work.objective,
                    work.groups,
                    work.loader,
                    work.validate,
                    partial(self._keep, step.name),
                    partial=work.partial,
                )
        if self.run.accelerator.is_main_process:
            if len(ends) > 1:
                self._average(ends)
            else:
                card = (self.folder / ends[0] / "README.md").read_text(encoding="utf-8")
                self.read(ends[0]).save(self.folder / "model", card)
            self.finish()
        return self.folder / "model"

    def finish(self) -> None:
        """Add to the finished model, in `model`, what no stage learns; by default nothing."""

    def read(self, stage: str) -> Model:
        """The model that a stage kept."""
        model: Model = load(self.folder / stage, str(self.device))
        return model

    def write(self, name: str, origin: str, scores: Scores) -> None:
        """Write `self.model` with its scores to a folder of this name."""
        model = self.model
        model.config = model.config.model_copy(update={"scores": {f"{k} {self.split}": v for k, v in scores.items()}})
        model.save(self.folder / name, self.card(origin, scores).markdown())

    def _keep(self, stage: str, score: float, scores: Scores) -> None:
        self.write(stage, stage, scores)

    def _average(self, stages: list[str]) -> None:
        """Write the mean of the models that some stages kept, with its scores."""
        weights = [self.read(stage).weights() for stage in stages]
        self.model = self.read(stages[0])
        with torch.no_grad():
            for key, value in self.model.weights().items():
                value.copy_(torch.stack([each[key].float() for each in weights]).mean(0))
        score, scores = self.validate()
        names = " and ".join(stages)
        say(f"mean of {names}: {score:.4f}")
        self.write("model", f"the mean of {names}", scores)
