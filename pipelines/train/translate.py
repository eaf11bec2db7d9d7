"""`captioner train` of a translator: from pairs of sentences to a model folder."""

from functools import partial
from pathlib import Path

import torch

from captioner.data.parallel import Pair, filter_lengths, read_pairs, read_table
from captioner.models.translate import TranslateConfig, Translator
from captioner.text.bpe import Subwords
from captioner.training.batches import make_loader
from captioner.training.loop import Run, Scores
from captioner.training.translate.card import write_card
from captioner.training.translate.config import PairFiles, TranslateTrainingConfig
from captioner.training.translate.objective import PairItems, TranslationLoss, validate


def train(config: TranslateTrainingConfig, folder: Path, command: str, *, device: str, resume: bool) -> Path:
    """Train a translator.

    Args:
        config: what to do.
        folder: the run folder.
        command: that repeats this training, for the model card.
        device: `auto` or `cpu`.
        resume: continue from the last checkpoint.

    Returns:
        the folder of the finished model.

    Raises:
        DataError: the text cannot be used.
    """
    data, stage = config.data, config.stages.cross_entropy
    read = [pair for files in data.train for pair in _read(files, data.root)]
    pairs = filter_lengths(read, data.max_words, data.max_ratio)
    valid = {name: _read(files, data.root) for name, files in data.valid.items()}
    run = Run(
        folder,
        seed=config.seed,
        precision=config.precision,
        checkpoint_steps=config.checkpoint_steps,
        device=device,
        resume=resume,
        metric="BLEU",
        unit="pieces",
    )
    subwords = Subwords.build((side for pair in pairs for side in pair), data.pieces)
    torch.manual_seed(config.seed)
    model = Translator.build(
        TranslateConfig(
            purpose=config.purpose,
            source=config.source,
            target=config.target,
            reader=config.reader,
            decoder=config.decoder,
            search=config.search,
        ),
        subwords,
    )
    model.network.to(run.accelerator.device)

    def keep(score: float, scores: Scores) -> None:
        model.config = model.config.model_copy(
            update={"scores": {f"{name} valid": each for name, each in scores.items()}}
        )
        sizes = {name: len(each) for name, each in valid.items()}
        model.save(folder / "model", write_card(config, command, model, len(pairs), len(read) - len(pairs), sizes))

    loader = make_loader(PairItems(pairs, subwords, data.dropout, config.seed), stage.batch_size, config.seed)
    objective = TranslationLoss(model.network, stage.label_smoothing)
    groups = [{"params": list(model.network.parameters()), "lr": 1.0}]
    run.train("cross_entropy", 0, stage, objective, groups, loader, partial(validate, model, valid), keep)
    return folder / "model"


def _read(files: PairFiles, root: Path) -> list[Pair]:
    if files.table is not None:
        return read_table(root / files.table, files.columns)
    assert files.source is not None
    assert files.target is not None
    return read_pairs(root / files.source, root / files.target)
