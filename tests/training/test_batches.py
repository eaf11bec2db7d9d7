import pickle
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from captioner.data.captions import CaptionedImage
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.training.batches import Augmented, LengthBuckets, PhotoItems, TextItems, cached, make_loader
from captioner.vision.cache import FeatureCache

VOCABULARY = Vocabulary([*SPECIALS, "a", "dog", "runs"])


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=80), size=st.integers(1, 9), epoch=st.integers(0, 3))
def test_an_epoch_holds_every_item_once_in_an_order_that_seed_and_epoch_decide(lengths, size, epoch):
    buckets, again = LengthBuckets(lengths, size, seed=5), LengthBuckets(lengths, size, seed=5)
    buckets.epoch = again.epoch = epoch
    batches = list(buckets)
    assert batches == list(again)
    assert len(batches) == len(buckets)
    assert sorted(item for batch in batches for item, _ in batch) == list(range(len(lengths)))
    assert all(len(batch) <= size for batch in batches)


@given(items=st.integers(1, 80), size=st.integers(1, 9), count=st.integers(2, 4), epoch=st.integers(0, 3))
def test_processes_share_the_batches_that_one_would_read_and_lose_nothing(items, size, count, epoch):
    lengths = [item % 7 for item in range(items)]
    parts = []
    for place in range(count):
        buckets = LengthBuckets(lengths, size, seed=5)
        buckets.epoch = epoch
        buckets.share(place, count)
        parts.append(list(buckets))
    alone = LengthBuckets(lengths, size * count, seed=5)
    alone.epoch = epoch
    whole = list(alone)
    assert {len(part) for part in parts} == {len(whole)}
    for together, *several in zip(whole, *parts, strict=True):
        assert {item for part in several for item in part} == set(together)
        assert all(several)
    assert all(len(batch) == size for part in parts for batch in part[:-1])


def test_a_batch_holds_captions_of_about_one_length():
    buckets = LengthBuckets([1, 9] * 20, 10, seed=0)
    assert all(len({buckets.lengths[item] for item, _ in batch}) == 1 for batch in buckets)


def test_epochs_differ():
    buckets = LengthBuckets([3] * 50, 10, seed=0)
    first = list(buckets)
    buckets.epoch = 1
    assert [[item for item, _ in batch] for batch in first] != [[item for item, _ in batch] for batch in buckets]


def test_text_is_padded_after_its_end():
    items = TextItems([["a", "dog"], ["a", "dog", "runs", "a"], ["zebra"]], VOCABULARY, max_length=3)
    tokens = items.collate([items[row, 0] for row in range(3)]).tokens
    assert tokens.tolist() == [[[1, 4, 5, 2, 0]], [[1, 4, 5, 6, 2]], [[1, 3, 2, 0, 0]]]


def photo(name, *captions):
    return CaptionedImage(0, name, "train", captions, tuple(tuple(caption.split()) for caption in captions))


def test_a_photo_with_few_captions_gives_some_twice_and_one_with_many_gives_a_choice():
    images = [photo("few", "a dog"), photo("many", "a", "dog", "runs", "a dog", "a dog runs")]
    items = PhotoItems(images, VOCABULARY, 3, 9, lambda images, draws: {}, seed=0)
    assert items[0, 0][1] == [[1, 4, 5, 2]] * 3
    chosen = {tuple(map(tuple, items[1, epoch][1])) for epoch in range(20)}
    assert all(len(set(captions)) == 3 for captions in chosen)
    assert len(chosen) > 1
    assert items[1, 4][1] == items[1, 4][1]
    others = PhotoItems(images, VOCABULARY, 3, 9, lambda images, draws: {}, seed=1)
    assert [items[1, epoch][1] for epoch in range(20)] != [others[1, epoch][1] for epoch in range(20)]


class Photos:
    def read(self, name):
        import cv2

        picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
        return cv2.imencode(".png", picture)[1].ravel()


def test_cached_features_travel_as_they_lie_on_disk_and_are_used_as_float32():
    grids = np.random.default_rng(0).normal(size=(2, 1, 3, 4)).astype(np.float16)
    cache = FeatureCache(Path(), ["a.jpg", "b.jpg"], grids, {})
    said = ("a dog",), (("a", "dog"),)
    images = [CaptionedImage(name, name, "train", *said) for name in ("b.jpg", "a.jpg")]
    items = PhotoItems(images, VOCABULARY, 1, 5, cached(cache), seed=0)
    batch = items.collate([items[row, 0] for row in range(2)])
    assert batch.grid.dtype == torch.float16
    moved = batch.to(torch.device("meta"))
    assert {moved.tokens.device.type, moved.features.grid.device.type} == {"meta"}
    wide = torch.from_numpy(grids[::-1, 0].astype(np.float32))
    assert batch.features.grid.dtype == torch.float32
    assert torch.equal(batch.features.grid, wide)
    assert torch.equal(batch.features.pooled, wide.mean(dim=1))  # not a mean of float16


def test_augmentation_repeats_itself_and_leaves_the_random_state_alone():
    fetch = Augmented(Photos(), (32, 32), smallest_crop=0.5, jitter=0.3)
    items = PhotoItems([photo("x.png", "a dog")], VOCABULARY, 1, 9, fetch, seed=0)
    elsewhere = PhotoItems([photo("x.png", "a dog")], VOCABULARY, 1, 9, fetch, seed=1)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, again, other = (items.collate([items[0, epoch]]).pixels for epoch in (0, 0, 1))
    assert first.shape == (1, 32, 32, 3)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, elsewhere.collate([elsewhere[0, 0]]).pixels)
    assert torch.equal(before, torch.get_rng_state())


def test_photos_and_what_changes_them_can_be_sent_to_workers_that_are_spawned():
    fetch = Augmented(Photos(), (32, 32), smallest_crop=0.5, jitter=0.3)
    items = PhotoItems([photo("x.png", "a dog")], VOCABULARY, 1, 9, fetch, 0)
    again = pickle.loads(pickle.dumps(items))
    assert torch.equal(again.collate([again[0, 2]]).pixels, items.collate([items[0, 2]]).pixels)


def test_a_loader_gives_batches_of_all_text():
    items = TextItems([["a"] * n for n in range(1, 12)], VOCABULARY, max_length=20)
    loader = make_loader(items, batch_size=4, seed=0)
    assert sum(len(batch.tokens) for batch in loader) == 11
