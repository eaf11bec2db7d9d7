"""`captioner train` of a classifier: from a folder of clips, a sub-folder a class, to a model folder in minutes."""

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from captioner.data.clip_tables import LabelledClip
from captioner.data.clips import ClipSet, ClipSplit
from captioner.errors import ConfigError
from captioner.metrics.classification import ClassificationReport
from captioner.models.classify import ClassifyConfig, VideoClassifier
from captioner.models.classify_network import ClassifierNetwork
from captioner.models.shared_encoder import FrameEncoder, SharedEncoder
from captioner.training import processes
from captioner.training.batches import make_loader
from captioner.training.checkpoints import digest_of
from captioner.training.classify.card import classifier_card, confusion_table
from captioner.training.classify.config import ClassifyTrainingConfig
from captioner.training.classify.fine_tuning import ClipItems, EndToEnd
from captioner.training.classify.fit import fit, fit_projection, predict, read_examples
from captioner.training.classify.start import begin_with, known_classifier, not_taken
from captioner.training.encoder import frame_encoder
from captioner.training.loop import Run, Scores
from captioner.training.record import counting, say
from captioner.training.start import weights_of_init
from captioner.vision.checksums import fingerprint
from captioner.vision.clip_cache import ClipCache
from captioner.vision.clip_features import FramesConfig
from captioner.weights import named


class ClassifierTraining:
    """One training of a classifier: its clips, their features, its scores and its model.

    Features that are there already are not computed again.

    Args:
        config: what to do.
        folder: the run folder.
        command: that repeats this training, for the model card.
        device: as `processes.join` takes it.
        resume: continue fine-tuning from the last checkpoint.

    Raises:
        CaptionerError: the clips, their table or the CNN cannot be used.
    """

    def __init__(
        self, config: ClassifyTrainingConfig, folder: Path, command: str, *, device: str, resume: bool
    ) -> None:
        self.config = config
        self.folder = folder
        self.command = command
        self.device = processes.join(device)
        self.resume = resume
        if config.data.folds and config.stages.fine_tune:
            raise ConfigError("stages.fine_tune: wants clips to validate on, so leave out data.folds.")
        self.known = None if config.init is None else known_classifier(config.init)
        clips = ClipSet.read(config.data.root, config.data.table, config.data.group)
        self._say_problems(clips)
        torch.manual_seed(config.seed)  # so that a CNN without weights is the same one each time
        self.encoder, self.shared, self.frames = self._find_encoder()
        self.clips, self.cache = self._read_features(clips)
        self.labels = self.clips.labels
        unused = [] if self.known is None else not_taken(self.known, self.labels)
        if unused:
            say(f"{config.init} also knows {', '.join(unused)}, of which there are no clips; the new model will not.")

    def run_all(self) -> Path:
        """Score a model on clips that it has not seen, then keep one; returns its folder."""
        count = self.config.data.folds
        if count:
            parts = self.clips.folds(count, self.config.seed)
            protocol, learnt = f"{len(parts)}-fold cross-validation", ClipSplit(self.clips.clips, ())
        else:
            learnt = self.clips.hold_out(self.config.data.hold_out, self.config.seed)
            parts, protocol = {"val": learnt}, "validation split"
        networks, answers = {}, []
        for place, (name, part) in enumerate(parts.items()):
            networks[name] = self._fit(part.train, place)
            if self.config.stages.fine_tune is not None:
                networks[name] = self._fine_tune(networks[name], part)
            answers += self._answers(networks[name], name, part.test)
        network = self._fit(learnt.train, 0) if count else networks["val"]
        report = self._report(answers, protocol)
        model = self._model(network, {protocol: _scores(report)})
        card = classifier_card(model.config, self.config, self.command, protocol, report, len(learnt.train))
        model.save(self.folder / "model", card.markdown())
        return self.folder / "model"

    def _fine_tune(self, network: ClassifierNetwork, part: ClipSplit) -> ClassifierNetwork:
        """Go on with the CNN in training; the weights that did best on the validation clips are kept, the CNN's too."""
        stage, kept = self.config.stages.fine_tune, self.folder / "fine_tune"
        assert stage is not None
        clips = [*part.train, *part.test]
        run = Run(
            self.folder,
            self.config,
            device=str(self.device),
            resume=self.resume,
            metric="accuracy",
            unit="clips",
            data=digest_of((clip.path.name, clip.label) for clip in clips),
            pictures=digest_of([*weights_of_init(self.config), *(fingerprint(clip.path) for clip in clips)]),
        )
        encoder = self.encoder.encoder
        encoder.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        encoder.freeze(stage.frozen)
        items = ClipItems(part.train, self.labels, self.frames, self.encoder.transform, self.config.seed)
        trained = [value for value in encoder.parameters() if value.requires_grad]

        def adopt() -> None:
            self.encoder = FrameEncoder(self.encoder.config, self.device, named("", encoder.state_dict()))

        def validate() -> tuple[float, Scores]:
            adopt()
            paths = [clip.path for clip in part.test]
            given = [found.label for found in self._model(network, {}).classify(paths, top_k=1)]
            accuracy = sum(label == clip.label for label, clip in zip(given, part.test, strict=True)) / len(given)
            return accuracy, {"val": {"accuracy": accuracy}}

        def keep(score: float, scores: Scores) -> None:
            self._model(network, scores).save(kept, "The best weights of a fine-tuning that has not ended yet.\n")

        run.train(
            "fine_tune",
            0,
            stage,
            EndToEnd(encoder, network, stage.label_smoothing),
            [
                {"params": list(network.members.parameters()), "lr": 1.0},
                {"params": trained, "lr": stage.encoder_rate},
            ],
            make_loader(items, stage.batch_size, self.config.seed, workers=self.config.workers),
            validate,
            keep,
        )
        best = VideoClassifier.load(kept, self.device)
        self.encoder = best.encoder
        _, self.cache = self._read_features(self.clips)
        return best.network

    def _find_encoder(self) -> tuple[FrameEncoder, str | None, FramesConfig]:
        """The CNN, the model in the package that it is shared with if it is, and what is seen of clips."""
        config = self.config
        if self.known is None:
            assert config.encoder is not None
            return frame_encoder(config.encoder, config.data.root, self.device), config.encoder.model, config.frames
        chosen = self.known.config.encoder
        encoder = FrameEncoder(chosen, self.device, self.known.encoder.weights, self.known.name)
        return encoder, chosen.model if isinstance(chosen, SharedEncoder) else None, self.known.config.frames

    def _read_features(self, clips: ClipSet) -> tuple[ClipSet, ClipCache]:
        data = self.config.data
        cache = ClipCache(data.cache or self.folder / "features", self.encoder.digest, self.frames, data.views)
        with counting("Reading clips") as progress:
            unreadable = cache.fill(
                [clip.path for clip in clips.clips],
                self.encoder,
                self.encoder.transform,
                workers=min(8, os.cpu_count() or 1),
                progress=progress,
            )
        if not unreadable:
            return clips, cache
        readable = clips.without(unreadable)
        self._say_problems(readable, len(clips.problems))
        return readable, cache

    def _fit(self, clips: Sequence[LabelledClip], place: int) -> ClassifierNetwork:
        seed = self.config.seed + place
        torch.manual_seed(seed)
        if self.known is not None:
            network = begin_with(self.known, self.labels)  # with its projection, or its weights would mean nothing
        else:
            network = ClassifierNetwork(self.config.network, self.encoder.channels, len(self.labels))
            fit_projection(network, self.cache, clips)
        network.to(self.device)
        examples = read_examples(network, self.cache, clips, self.labels)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the products are so small that threads would mostly wait for each other
        try:
            fit(network, examples.to(self.device), self.config.stages.fit, seed)
        finally:
            torch.set_num_threads(threads)
        return network

    def _answers(
        self, network: ClassifierNetwork, part: str, clips: Sequence[LabelledClip]
    ) -> list[tuple[LabelledClip, str, Tensor]]:
        examples = read_examples(network, self.cache, clips, self.labels).to(self.device)
        probabilities = predict(network, examples)
        right = (probabilities.argmax(dim=1) == examples.labels.cpu()).float().mean()
        say(f"{part}: accuracy {right:.3f} on {len(clips)} clips")
        return [(clip, part, row) for clip, row in zip(clips, probabilities, strict=True)]

    def _report(self, answers: Sequence[tuple[LabelledClip, str, Tensor]], protocol: str) -> ClassificationReport:
        """Score all answers; write them, the scores and the confusion matrix into the run folder."""
        said = [int(row.argmax()) for _, _, row in answers]
        true = [self.labels.index(clip.label) for clip, _, _ in answers]
        report = ClassificationReport.of(self.labels, true, said, [clip.group for clip, _, _ in answers])
        with (self.folder / "answers.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(["path", "part", "label", "said", *self.labels])
            for (clip, part, row), place in zip(answers, said, strict=True):
                shares = [f"{share:.4f}" for share in row.tolist()]
                writer.writerow([clip.path, part, clip.label, self.labels[place], *shares])
        scores = {
            "protocol": protocol,
            "accuracy": report.accuracy,
            "interval": report.interval,
            "classes": {label: asdict(score) for label, score in report.classes().items()},
            "confusion": report.confusion.tolist(),
        }
        (self.folder / "scores.json").write_text(json.dumps(scores, indent=2, ensure_ascii=False) + "\n", "utf-8")
        report.draw(self.folder / "confusion.png", f"{protocol}: accuracy {report.accuracy:.3f}")
        low, high = report.interval
        say("\n".join(confusion_table(report)))
        say(f"{protocol}: accuracy {report.accuracy:.3f}, 95 % interval {low:.3f} to {high:.3f}")
        return report

    def _model(self, network: ClassifierNetwork, scores: Scores) -> VideoClassifier:
        shared, config = self.shared, self.config
        fine_tuned = config.stages.fine_tune is not None
        model_config = ClassifyConfig(
            purpose=config.purpose,
            scores=scores,
            labels=self.labels,
            frames=self.frames,
            encoder=SharedEncoder(model=shared, digest=self.encoder.digest)
            if shared and not fine_tuned
            else self.encoder.config,
            network=config.network if self.known is None else self.known.config.network,
        )
        return VideoClassifier(model_config, self.encoder, network, self.device)

    def _say_problems(self, clips: ClipSet, first: int = 0) -> None:
        for problem in clips.problems[first:]:
            say(problem)


def _scores(report: ClassificationReport) -> dict[str, float]:
    low, high = report.interval
    return {"accuracy": report.accuracy, "low": low, "high": high}
