"""`captioner train` of a translator: from pairs of sentences to a model folder."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from captioner.data.copies import check_apart
from captioner.data.pair_checks import check_languages, find_slip, words_of
from captioner.data.parallel import Pair, filter_lengths, read_lines, read_pairs, read_table
from captioner.errors import DataError
from captioner.models.translate import TranslateConfig, Translator
from captioner.text.bpe import Subwords
from captioner.text.familiar import familiar_words
from captioner.text.sentences import are_whole
from captioner.text.vocabulary import Vocabulary
from captioner.training.batches import make_loader
from captioner.training.card import ModelCard
from captioner.training.config import Stage
from captioner.training.loop import Scores
from captioner.training.record import say
from captioner.training.start import find_init
from captioner.training.training import Training, Work
from captioner.training.translate.card import translator_card
from captioner.training.translate.config import PairFiles, TranslateStage, TranslateTrainingConfig
from captioner.training.translate.objective import PairItems, TranslationLoss, validate


class TranslatorTraining(Training[TranslateTrainingConfig, Translator]):
    """Training of a translator; see `Training` for the arguments.

    Raises:
        DataError: the text cannot be used.
    """

    metric, unit, split = "BLEU", "pieces", "valid"

    def __init__(
        self, config: TranslateTrainingConfig, folder: Path, command: str, *, device: str, resume: bool
    ) -> None:
        super().__init__(config, folder, command, device=device, resume=resume)
        data = config.data
        learnt, tried = (
            [data.root / str(each.source or each.table) for each in part] for part in (data.train, data.valid.values())
        )
        check_apart(learnt, tried)
        read = [pair for files in data.train for pair in _read(files, data.root)]
        self.pairs = filter_lengths(read, data.max_words, data.max_ratio)
        self.left_out = len(read) - len(self.pairs)
        if not self.pairs:
            raise DataError(
                f"data.train: all {len(read)} pairs are left out for their lengths; raise data.max_words, which is "
                f"{data.max_words}, or data.max_ratio, which is {data.max_ratio:g}."
            )
        self.whole_sentences = are_whole(source for source, _ in self.pairs)
        self.valid = {name: _read(files, data.root) for name, files in data.valid.items()}
        _say_learnt(read, self.valid)
        if config.init is None:
            self._check_languages(str(config.source), frozenset())
            self.subwords = Subwords.build((side for pair in self.pairs for side in pair), data.pieces)
            self.familiar_words = self._familiar([])
        else:
            before = Translator.load(find_init(config.init, "translate"), "cpu", config.init)
            self.subwords = before.subwords
            self.pairs = _known_pairs(self.pairs, self.subwords, config.init)
            words = before.config.familiar_words.split()
            self._check_languages(before.config.source, frozenset(words))
            self.familiar_words = self._familiar(words) if words else ""

    def _check_languages(self, source: str, known: frozenset[str]) -> None:
        """See that no pairs are the other way round.

        Args:
            source: language that is read.
            known: words of it, if the model to go on from knows any.
        """
        words = known or words_of(self.pairs, source)
        parts = {"data.train": self.pairs, **{f"data.valid.{name}": pairs for name, pairs in self.valid.items()}}
        for name, pairs in parts.items():
            check_languages(pairs, words, name, source)

    def _familiar(self, before: Iterable[str]) -> str:
        """The words that are met often enough, in different sentences, and those of before."""
        return " ".join(sorted(familiar_words({source for source, _ in self.pairs}).union(before)))

    def material(self) -> Iterable[object]:
        """The pairs."""
        return self.pairs, self.valid

    def new_model(self) -> Translator:
        """The translator to go on from, or one that has learnt nothing yet."""
        config = self.config
        torch.manual_seed(config.seed)
        if config.init is not None:
            before = Translator.load(find_init(config.init, "translate"), "cpu", config.init)
            update: dict[str, object] = {
                "scores": {},
                "familiar_words": self.familiar_words,
                "whole_sentences": self.whole_sentences,
            }
            given = config.model_fields_set & {"purpose", "search"}
            update.update((key, getattr(config, key)) for key in given)
            before.config = before.config.model_copy(update=update)
            before.network.to(self.device)
            return before
        assert config.source is not None
        assert config.target is not None
        model = Translator.build(
            TranslateConfig(
                purpose=config.purpose,
                source=config.source,
                target=config.target,
                familiar_words=self.familiar_words,
                whole_sentences=self.whole_sentences,
                reader=config.reader,
                decoder=config.decoder,
                search=config.search,
            ),
            self.subwords,
        )
        model.network.to(self.device)
        return model

    def prepare(self, stage: Stage, seed: int) -> Work:
        """Cross-entropy of each next piece."""
        assert isinstance(stage, TranslateStage)
        network = self.model.network
        items = PairItems(self.pairs, self.subwords, self.config.data.dropout, seed)
        loader = make_loader(items, stage.batch_size, seed)
        groups = [{"params": list(network.parameters()), "lr": 1.0}]
        return Work(TranslationLoss(network, stage.label_smoothing), groups, loader, self.validate)

    def validate(self) -> tuple[float, Scores]:
        """BLEU and chrF."""
        return validate(self.model, self.valid)

    def card(self, origin: str, scores: Scores) -> ModelCard:
        """The model card."""
        sizes = {name: len(each) for name, each in self.valid.items()}
        return translator_card(
            self.config, self.command, origin, self.model, len(self.pairs), self.left_out, scores, sizes
        )


def _read(files: PairFiles, root: Path) -> list[Pair]:
    if files.table is not None:
        return read_table(root / files.table, files.columns)
    assert files.source is not None
    assert files.target is not None
    source, target = root / files.source, root / files.target
    pairs = read_pairs(source, target)
    if slip := find_slip(read_lines(source), read_lines(target), f"{source} and {target}"):
        say(slip)
    return pairs


def _say_learnt(learnt: Sequence[Pair], valid: Mapping[str, Sequence[Pair]]) -> None:
    """Say how many sentences to validate on are learnt from too."""
    known = {source for source, _ in learnt}
    for name, pairs in valid.items():
        both = sum(source in known for source, _ in pairs)
        if both:
            say(
                f"{both:,} of {len(pairs):,} sentences of data.valid.{name} are learnt from too; scores say how well "
                "these are remembered."
            )


def _known_pairs(pairs: Sequence[Pair], subwords: Subwords, name: str) -> list[Pair]:
    """The pairs that the translator to go on from has pieces for; how many have other characters is said.

    Raises:
        DataError: no pair is left.
    """
    known = [pair for pair in pairs if not any(Vocabulary.unk in ids for ids in subwords.encode(pair))]
    if not known:
        raise DataError(
            f"{name} has no pieces for what these pairs are written in; train a new translator without init."
        )
    if len(known) < len(pairs):
        say(f"{len(pairs) - len(known):,} of {len(pairs):,} pairs hold characters that {name} does not know; left out.")
    return known
