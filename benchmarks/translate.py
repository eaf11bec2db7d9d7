"""How fast a translator is, and how its test scores compare with published ones.

    python benchmarks/translate.py speed en-de SENTENCES.en
    python benchmarks/translate.py scores en-de TEST.en TEST.de

`speed` prints sentences a second of beam 5: all sentences, those of about the same length together; one by one; and by
a plain loop over the same network (`plain_search`). `scores` prints BLEU with sacrebleu's defaults, and lowercased and
tokenised as Multi30k's published numbers are (Moses' tokeniser with aggressive hyphen splitting; needs `sacremoses`).
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from captioner.data.parallel import read_lines
from captioner.decoding.steps import Rows
from captioner.models.base import load
from captioner.models.translate import Translator
from captioner.text.vocabulary import Vocabulary

BATCH = 64  # of the plain loop, which is slower with 128


@torch.inference_mode()
def plain_search(model: Translator, sentences: Sequence[str], beam: int) -> list[str]:
    """Beam search as it is usually written: the decoder's own step, all hypotheses until the last has ended, in the
    order of the file."""
    texts = []
    for first in range(0, len(sentences), BATCH):
        encoded = [torch.tensor(ids) for ids in model.subwords.encode(sentences[first : first + BATCH])]
        lengths = torch.tensor([len(ids) for ids in encoded])
        padded = torch.nn.utils.rnn.pad_sequence(encoded, batch_first=True)
        count, decoder = len(encoded), model.network.decoder
        state, context = decoder.start(model.network.encode(padded, lengths))
        state = {name: value.repeat_interleave(beam, 0) for name, value in state.items()}
        words = torch.full((count, beam, 1), Vocabulary.start)
        scores = torch.full((count, beam), -torch.inf)
        scores[:, 0] = 0
        ended = torch.zeros(count, beam, dtype=torch.bool)
        sizes = torch.ones(count, beam)
        for _ in range(100):
            logits, state, _ = decoder.step(words[:, :, -1].flatten(), state, context, Rows(count, beam))
            log_probs = logits.log_softmax(-1).unflatten(0, (count, beam))
            log_probs[ended] = -torch.inf
            log_probs[..., Vocabulary.end][ended] = 0
            scores, places = (scores[..., None] + log_probs).flatten(1).topk(beam)
            parents, tokens = places // logits.shape[-1], places % logits.shape[-1]
            words = torch.cat([words.gather(1, parents[..., None].expand_as(words)), tokens[..., None]], -1)
            rows = (parents + torch.arange(count)[:, None] * beam).flatten()
            state = {name: value.index_select(0, rows) for name, value in state.items()}
            ended, sizes = ended.gather(1, parents), sizes.gather(1, parents)
            sizes += ~ended
            ended |= tokens == Vocabulary.end
            if ended.all():
                break
        best = (scores / sizes).argmax(1)
        texts += [model.subwords.decode(words[row, best[row]].tolist()) for row in range(count)]
    return texts


def sentences_a_second(translate: Callable[[], object], count: int) -> float:
    started = time.perf_counter()
    translate()
    return count / (time.perf_counter() - started)


def speed(options: argparse.Namespace) -> None:
    model = load(options.model, "cpu", ("translate",))
    sentences = [line for line in read_lines(options.source) if line][: options.sentences]
    some = sentences[:: max(1, len(sentences) // 100)]
    model.translate(some[:8])  # the first call makes the search ready
    together = sentences_a_second(lambda: model.translate(sentences, beam_size=5), len(sentences))
    single = sentences_a_second(lambda: [model.translate([each], beam_size=5) for each in some], len(some))
    plain = sentences_a_second(lambda: plain_search(model, sentences, 5), len(sentences))
    alone = sentences_a_second(lambda: [plain_search(model, [each], 5) for each in some], len(some))
    print(f"{torch.get_num_threads()} threads, {len(sentences)} sentences, beam 5\n")
    print("| search | in batches | one by one | times as fast |")
    print("| --- | --- | --- | --- |")
    print(f"| captioner | {together:.1f} | {single:.1f} | {together / single:.1f} |")
    print(f"| plain loop | {plain:.1f} | {alone:.1f} | {plain / alone:.1f} |")


def scores(options: argparse.Namespace) -> None:
    from sacrebleu.metrics import BLEU, CHRF
    from sacremoses import MosesPunctNormalizer, MosesTokenizer

    model = load(options.model, "cpu", ("translate",))
    reference = read_lines(options.reference)
    written = [each.text for each in model.translate(read_lines(options.source))]
    language = model.config.target
    tokenizer, normaliser = MosesTokenizer(language), MosesPunctNormalizer(language)

    def published(lines: Sequence[str]) -> list[str]:
        return [
            tokenizer.tokenize(
                normaliser.normalize(line).lower(), aggressive_dash_splits=True, return_str=True, escape=False
            )
            for line in lines
        ]

    as_published = BLEU(tokenize="none", force=True)
    lines = [
        (BLEU(), written, reference),
        (as_published, published(written), published(reference)),
        (CHRF(), written, reference),
    ]
    for metric, ours, theirs in lines:
        found = metric.corpus_score(ours, [theirs], n_bootstrap=1000)
        name = "lowercased, tokenised" if metric is as_published else "as written"
        print(f"{found.name} {found.score:.2f} ± {found._ci:.2f} ({name}; {metric.get_signature()})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    of_speed = commands.add_parser("speed")
    of_speed.add_argument("model")
    of_speed.add_argument("source", type=Path)
    of_speed.add_argument("--sentences", type=int, default=1000)
    of_speed.set_defaults(run=speed)
    of_scores = commands.add_parser("scores")
    of_scores.add_argument("model")
    of_scores.add_argument("source", type=Path)
    of_scores.add_argument("reference", type=Path)
    of_scores.set_defaults(run=scores)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
