from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from captioner.metrics.ngrams import MAX_ORDER, NGramIndex, References

sentences = st.lists(st.lists(st.sampled_from(["a", "dog", "cat", "é"]), max_size=7), max_size=5)


def ngrams(sentence: list[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(sentence[start : start + order + 1]) for start in range(len(sentence) - order))


@given(sentences, sentences)
def test_counts_are_those_of_each_sentence_and_numbers_those_of_the_ngrams(
    known: list[list[str]], new: list[list[str]]
) -> None:
    index = NGramIndex(known)
    for order in range(MAX_ORDER):
        numbers: dict[tuple[str, ...], set[int]] = {}
        for counts, texts in ((index.count(known)[order], known), (index.count(new)[order], new)):
            for number, sentence in enumerate(texts):
                here = counts.sentence == number
                expected = ngrams(sentence, order)
                assert sorted(counts.count[here]) == sorted(expected.values())
                single = set(counts.gram[here].tolist())
                assert len(single) == len(expected)
                if len(expected) == 1:
                    numbers.setdefault(next(iter(expected)), set()).update(single)
        in_index = {ngram for sentence in known for ngram in ngrams(sentence, order)}
        assert index.size(order) == len(in_index)
        for ngram, found in numbers.items():
            if ngram in in_index:
                assert len(found) == 1
                assert max(found) < index.size(order)
            else:
                assert min(found) >= index.size(order)


def test_document_frequency_counts_images_not_references() -> None:
    references = References({1: [["a", "dog"], ["a", "cat"]], 2: [["a"]]})
    frequencies = dict(zip(["a", "dog", "cat"], references.groups[0].document_frequency.tolist(), strict=True))
    assert frequencies == {"a": 2, "dog": 1, "cat": 1}
