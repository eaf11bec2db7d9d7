"""The training loop: one stage at a time, validated, averaged, checkpointed, and continued exactly where it stopped."""

import math
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, skip_first_batches
from accelerate.utils import set_seed
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.data import DataLoader

from captioner.errors import CaptionerError, ConfigError, DataError
from captioner.training import processes
from captioner.training.checkpoints import TrainingState, last_checkpoint, read_progress, seal
from captioner.training.config import Stage, TrainingConfig
from captioner.training.ema import Ema
from captioner.training.record import Bar, MetricsLogger

Scores = dict[str, dict[str, float]]


class Run:
    """A run folder and the machinery that its stages share.

    Args:
        folder: holds checkpoints, metrics and the stages' models.
        config: seed, precision and steps between checkpoints; weights are float32 whatever the precision.
        device: as `processes.join` takes it.
        resume: continue from the folder's last checkpoint; without one, begin.
        metric: the validation score that `curves.png` shows.
        unit: what a step reads, in the plural; each objective gives its number under this name.
        data: a digest of what is learnt from and validated on, which must be the same in a run that is continued.
        pictures: a digest of the content of its pictures and of the weights of `init`, which must be too.

    Raises:
        DataError: the checkpoint is damaged.
        ConfigError: it was made with other data.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainingConfig,
        *,
        device: str = "auto",
        resume: bool = False,
        metric: str = "CIDEr",
        unit: str = "words",
        data: str = "",
        pictures: str = "",
    ) -> None:
        self.folder = folder
        self.seed = config.seed
        self.unit = unit
        self.checkpoint_steps = config.checkpoint_steps
        mixed_precision = "bf16" if config.precision == "bfloat16" else "no"
        self.accelerator = Accelerator(cpu=processes.join(device).type == "cpu", mixed_precision=mixed_precision)
        self.checkpoint = last_checkpoint(folder) if resume else None
        began = TrainingState(data=data, pictures=pictures)
        self.progress = began if self.checkpoint is None else read_progress(self.checkpoint)
        for before, now, what in (
            (self.progress.data, data, "texts, names or splits"),
            (self.progress.pictures, pictures, "pictures, or the model of init,"),
        ):
            if before not in ("", now):
                raise ConfigError(
                    f"{folder}: this run began with other data (their {what} have changed since); begin again with "
                    "another -o."
                )
        folder.mkdir(parents=True, exist_ok=True)
        self.record = MetricsLogger(folder, self.progress.step, metric, self.accelerator.is_main_process)

    def train(
        self,
        name: str,
        number: int,
        stage: Stage,
        objective: nn.Module,
        groups: list[dict[str, Any]],
        loader: DataLoader[Any],
        validate: Callable[[], tuple[float, Scores]],
        keep: Callable[[float, Scores], None],
        *,
        partial: bool = False,
    ) -> None:
        """Run one stage, or what is left of it.

        Of several processes each reads its share of every batch, and all follow the loss of the whole one.

        Args:
            name: of the stage.
            number: of the stage, from 0; one that has ended is skipped.
            stage: how to optimise.
            objective: called with a batch, gives the loss and numbers to record (`unit` among them).
            groups: AdamW's parameter groups, `lr` in each as a share of the stage's learning rate.
            loader: batches; its `batch_sampler` has an `epoch`, and `share` where several processes may read it.
            validate: scores the objective's networks as they are when called (they hold the averaged weights then).
            keep: called after a validation that beat all before, with the averaged weights in place.
            partial: a step may leave some of the objective's weights out.

        Raises:
            DataError: the loss is no longer a number.
            ConfigError: several processes, and batches that cannot be shared.
        """
        if self.progress.stages_done > number:
            return
        # seeding by stage keeps a later stage's draws the same, however the earlier ones ended
        set_seed(self.seed + number + 10_000 * processes.place())
        sampler: Any = loader.batch_sampler
        if processes.count() > 1:
            if not hasattr(sampler, "share"):
                raise ConfigError(f"stages.{name} is trained by one process: its batches follow one another.")
            sampler.share(processes.place(), processes.count())
            self.accelerator.ddp_handler = DistributedDataParallelKwargs(
                find_unused_parameters=partial, broadcast_buffers=False
            )
        rates = [group["lr"] for group in groups]
        optimizer: Any = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=stage.weight_decay, fused=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)  # accelerate knows no other
            model, optimizer = self.accelerator.prepare(objective, optimizer)
        average = Ema(objective, stage.average)
        self._restore(average)
        progress = self.progress
        total = stage.epochs * len(loader)
        main = self.accelerator.is_main_process
        with Bar(name.replace("_", " "), total, progress.stage_step, self.unit, main) as bar:
            while progress.epoch < stage.epochs and progress.waiting < stage.patience:
                sampler.epoch = progress.epoch
                for batch in _batches(loader, progress.batch):
                    share = _rate(progress.stage_step, total, stage.warmup) * stage.learning_rate
                    for group, rate in zip(optimizer.param_groups, rates, strict=True):
                        group["lr"] = rate * share
                    model.train()
                    try:
                        with self.accelerator.autocast():
                            loss, numbers = model(batch.to(self.accelerator.device))
                    except DataError as error:  # weights that are no numbers are met before the loss is
                        raise DataError(
                            f"{self.folder}: step {progress.step}: {error} A lower stages.{name}.learning_rate may "
                            "help; begin again with another -o."
                        ) from error
                    loss, value, numbers = self._of_all(loss, numbers)
                    if not math.isfinite(value):
                        raise DataError(
                            f"{self.folder}: the loss of step {progress.step} is {value}; lower "
                            f"stages.{name}.learning_rate and begin again with another -o."
                        )
                    self.accelerator.backward(loss)
                    norm = self.accelerator.clip_grad_norm_(model.parameters(), stage.clip_norm)
                    optimizer.step()
                    optimizer.zero_grad()
                    average.update()
                    progress.batch += 1
                    progress.step += 1
                    progress.stage_step += 1
                    bar.advance(value, int(numbers[self.unit]))
                    self.record.add(
                        progress.step, name, progress.epoch, loss=value, rate=share, norm=float(norm or 0.0), **numbers
                    )
                    if progress.step % self.checkpoint_steps == 0:
                        self._save(average)
                self._end_epoch(name, objective, average, validate, keep, bar)
        self.accelerator.free_memory()  # the next stage's checkpoints hold only its own networks
        progress.stages_done = number + 1
        progress.epoch = progress.stage_step = progress.waiting = 0
        progress.best = -math.inf
        self._save(None)

    def _of_all(self, loss: Tensor, numbers: dict[str, float]) -> tuple[Tensor, float, dict[str, float]]:
        """The mean loss over what all processes read, and what to record.

        Processes average their gradients, and one may have read more words than another, so each weighs its loss.
        """
        if processes.count() == 1:
            return loss, float(loss.detach()), numbers
        mine, names = numbers[self.unit], sorted(numbers)
        values = torch.tensor([float(loss.detach()) * mine, *(float(numbers[name]) for name in names)])
        whole, *sums = self.accelerator.reduce(values.double().to(self.accelerator.device), "sum").tolist()
        every = dict(zip(names, sums, strict=True))
        together = {name: value if name == self.unit else value / processes.count() for name, value in every.items()}
        return loss * (mine * processes.count() / every[self.unit]), whole / every[self.unit], together

    def _end_epoch(
        self,
        name: str,
        objective: nn.Module,
        average: Ema,
        validate: Callable[[], tuple[float, Scores]],
        keep: Callable[[float, Scores], None],
        bar: Bar,
    ) -> None:
        progress = self.progress
        if self.accelerator.is_main_process:
            with average.in_place(), torch.random.fork_rng():
                objective.eval()
                score, scores = validate()
                # the first is kept whatever it is, also NaN, because what follows needs a model
                better = score > progress.best or progress.epoch == 0
                if better:
                    keep(score, scores)
            progress.waiting = 0 if better else progress.waiting + 1
            progress.best = score if score > progress.best else progress.best
            shown = ", ".join(
                f"{part} " + " ".join(f"{k} {v:.4f}" for k, v in each.items()) for part, each in scores.items()
            )
            bar.say(f"{name.replace('_', ' ')} epoch {progress.epoch + 1}: {shown}")
            speed = {f"{self.unit}_a_second": round(bar.speed)}
            self.record.add(progress.step, name, progress.epoch, validation=scores, **speed)
            self.record.draw()
        progress.waiting, progress.best = self._agree(progress.waiting, progress.best)
        progress.epoch += 1
        progress.batch = 0
        self._save(average)

    def _agree(self, waiting: int, best: float) -> tuple[int, float]:
        """What the main process decided, in all processes."""
        from accelerate.utils import broadcast_object_list

        values = [waiting, best]
        broadcast_object_list(values)
        return int(values[0]), float(values[1])

    def _save(self, average: Ema | None) -> None:
        """Write a checkpoint; once it counts, the old one goes.

        Raises:
            DataError: it cannot be written; the old one stays.
        """
        progress = self.progress
        # the epoch too, because its last step and its end may both be saved, and neither in place of the other
        name = f"{progress.step:08d}-{progress.stages_done}-{progress.epoch:06d}"
        target = self.folder / "checkpoints" / name
        # not as safetensors: those of accelerate leave out weights that lie in one block of memory, as cuDNN's do
        try:
            self.accelerator.save_state(str(target), safe_serialization=False)
            if self.accelerator.is_main_process and average is not None:
                average.save(target / "average.safetensors")
        except (OSError, RuntimeError, SafetensorError) as error:  # each of them where a disk is full
            reason = str(error).partition("\n")[0]
            raise DataError(f"{target}: cannot be written ({reason}); make room and continue with --resume.") from error
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            seal(target, progress)
            for other in target.parent.iterdir():
                if other != target and other.is_dir():
                    shutil.rmtree(other)
        self.accelerator.wait_for_everyone()

    def _restore(self, average: Ema) -> None:
        if self.checkpoint is None:
            return
        if self.progress.stage_step:  # else it was made between two stages
            try:
                self.accelerator.load_state(str(self.checkpoint))
                average.load(self.checkpoint / "average.safetensors")
            except (OSError, RuntimeError, ValueError, KeyError, EOFError, SafetensorError) as error:
                raise DataError(
                    f"{self.checkpoint}: does not fit this training, as where the model of init is another one now; "
                    "begin again with another -o."
                ) from error
        self.checkpoint = None


def _batches(loader: DataLoader[Any], done: int) -> Iterator[Any]:
    """What is left of an epoch.

    Raises:
        CaptionerError: what a worker met, without its traceback.
    """
    try:
        yield from skip_first_batches(loader, done)
    except CaptionerError as error:
        text = str(error)
        if not text.startswith("Caught "):
            raise
        raise type(error)(text.strip().rpartition("\n")[2].partition("Error: ")[2]) from error


def _rate(step: int, total: int, warmup: float) -> float:
    """Linear warm-up, then a cosine to zero (Loshchilov and Hutter, 2017); between 0 and 1."""
    rising = warmup * total
    if step < rising:
        return (step + 1) / (rising + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(total - rising, 1)))
