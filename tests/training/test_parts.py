import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.errors import ConfigError
from captioner.training.parts import PartBuckets, deal, owners

in_shards = st.lists(st.one_of(st.integers(0, 9), st.none()), min_size=1, max_size=80)


def epochs(shards, count, size, epoch=0, **options):
    """The batches of each process, without the epoch's number."""
    parts = deal(list(zip(shards, owners(shards, count), strict=True)), count)
    made = []
    for place in range(count):
        buckets = PartBuckets([item % 5 for item in range(len(shards))], parts, place, size, seed=1, **options)
        buckets.epoch = epoch
        made.append([[item for item, _ in batch] for batch in buckets])
        assert len(made[-1]) == len(buckets)
    return made


@given(in_shards, st.integers(1, 3), st.integers(1, 9), st.integers(1, 3), st.integers(0, 3))
def test_processes_lose_no_photo_and_read_their_own_shards_in_as_many_batches(shards, count, size, mixed, epoch):
    owner = owners(shards, count)
    if len(set(owner)) < count:
        with pytest.raises(ConfigError, match="cannot have some each"):
            epochs(shards, count, size)
        return
    batches = epochs(shards, count, size, epoch, mixed=mixed)
    assert len({len(each) for each in batches}) == 1
    for place, each in enumerate(batches):
        read = [item for batch in each for item in batch]
        mine = [item for item, process in enumerate(owner) if process == place]
        assert set(read) == set(mine)
        assert len(read) == max(len(mine), len(each))
        assert all(1 <= len(batch) <= size for batch in each)


@given(in_shards, st.integers(1, 9), st.integers(1, 3))
def test_shards_are_expected_before_they_are_read_and_only_a_few_at_a_time(shards, size, mixed):
    expected = [[]]
    parts = deal([(shard, 0) for shard in shards], 1)
    buckets = PartBuckets([1] * len(shards), parts, 0, size, seed=1, mixed=mixed, expect=expected.append)
    for batch in buckets:
        read = {shards[item] for item, _ in batch} - {None}
        assert read <= {shard for some in expected for shard in some}
    assert max(map(len, expected)) <= 2 * mixed


def test_an_epoch_is_decided_by_its_number():
    shards = [item // 6 for item in range(36)]
    assert epochs(shards, 2, 4) == epochs(shards, 2, 4)
    assert epochs(shards, 2, 4) != epochs(shards, 2, 4, epoch=1)
