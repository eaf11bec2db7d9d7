"""The pipeline's own behaviour: order, batches that fit, bad images in between, thumbnails."""

import io
import time
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from captioner.models.base import load
from captioner.models.translation import Translation
from captioner.pipelines.caption.work import caption_folder
from captioner.pipelines.folder.outputs import Outputs, Writer
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.row_file import WriteError
from captioner.pipelines.folder.stages import halve_on_oom
from captioner.pipelines.media import ClipOptions, MediaItem, load_photo
from captioner.vision.images import Transform


class Kept(Writer):
    """Keeps what it is given."""

    def __init__(self):
        super().__init__()
        self.records = []
        self.sizes = []

    def write(self, records):
        self.records += records
        self.sizes.append(len(records))


@pytest.fixture(scope="module")
def model(model_folder):
    return load(model_folder, "cpu")


def run(model, paths, **options):
    kept, summary = Kept(), Summary()
    search = replace(model.config.search, num_captions=options.pop("num_captions", 1))
    with Meter(len(paths), "images", Console(file=io.StringIO()), quiet=True) as meter:
        caption_folder(paths, model, Outputs([kept]), search, meter, summary, **options)
    return kept, summary, meter


def test_bad_images_keep_their_place_among_the_good(model, make_photos):
    photos = make_photos(5)
    (photos / "photo0000.jpg").write_bytes(b"")
    (photos / "photo0003.jpg").write_bytes(b"text")
    paths = [str(path) for path in sorted(photos.iterdir())]
    kept, summary, meter = run(model, paths, batch_size=2)
    assert [record.path for record in kept.records] == paths
    assert [record.error for record in kept.records] == ["empty file", None, None, "not an image", None]
    expected = model.caption([paths[1], paths[2], paths[4]])
    found = [record.fields["caption"] for record in kept.records if record.error is None]
    assert found == [caption.text for caption in expected]
    assert (summary.written, summary.failures.total(), meter.done, meter.failed) == (3, 2, 5, 2)


def test_what_is_wrong_with_a_translation_is_told_of_its_photo_or_clip(model, make_photos, squares_clips):
    class Forgetful:
        def translate(self, sentences, *, alignment):
            return [Translation("Hund", -0.1, -0.2, warning="the translation lacks 7") for _ in sentences]

    paths = [str(next(make_photos(1).iterdir())), str(next(squares_clips.rglob("*.avi")))]
    for clips in (None, ClipOptions(scenes=True)):
        kept, summary, _ = run(model, paths, num_captions=2, clips=clips, translator=Forgetful())
        assert [record.warning for record in kept.records] == ["the translation lacks 7"] * 2
        assert summary.warned == 2


def test_a_folder_of_bad_images_only_ends(model, make_photos):
    photos = make_photos(9)
    for path in photos.iterdir():
        path.write_bytes(b"")
    kept, summary, _ = run(model, [str(path) for path in photos.iterdir()], batch_size=2)
    assert len(kept.records) == summary.failures.total() == 9


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_any_number_of_workers_gives_the_same_rows(model, make_photos, squares_clips, workers):
    photos = [str(path) for path in sorted(make_photos(5).iterdir())]
    clips = [str(path) for path in sorted(squares_clips.rglob("*.avi"))[:2]]
    paths = [*photos[:3], *clips, *photos[3:]]
    expected = [record.fields for record in run(model, paths, workers=1, batch_size=100)[0].records]
    kept, _, _ = run(model, paths, workers=workers, batch_size=2)
    assert [record.path for record in kept.records] == paths
    assert [record.fields["caption"] for record in kept.records] == [fields["caption"] for fields in expected]


def test_batches_grow_to_the_size_asked_for_and_workers_share_the_rest(model, make_photos):
    photos = make_photos(9)
    paths = [str(path) for path in sorted(photos.iterdir())]
    assert run(model, paths, workers=2, batch_size=3)[0].sizes == [3, 3, 2, 1]
    assert run(model, paths, workers=2, batch_size=100)[0].sizes == [5, 4]
    assert run(model, paths[:1], workers=8)[0].sizes == [1]
    for path in photos.iterdir():
        path.write_bytes(b"")
    sizes = run(model, paths * 30, workers=2, batch_size=64)[0].sizes
    assert sizes == [32, 32, 64, 64, 39, 39]


def test_photos_and_clips_that_alternate_are_searched_together(model, make_photos, squares_clips, monkeypatch):
    photos, clips = sorted(make_photos(6).iterdir()), sorted(squares_clips.rglob("*.avi"))[:6]
    paths = [str(path) for pair in zip(photos, clips, strict=True) for path in pair]
    searched = []
    generate = model.generate
    monkeypatch.setattr(
        model, "generate", lambda *args, **options: searched.append(len(args[0])) or generate(*args, **options)
    )
    kept, _, _ = run(model, paths, workers=1)
    assert [record.path for record in kept.records] == paths
    assert searched == [6, 6]


def test_giving_up_waits_for_one_photo_a_worker_and_not_for_its_batch(model, make_photos, monkeypatch):
    paths = [str(path) for path in sorted(make_photos(60).iterdir())]
    loaded = []

    def slow(path, **_):
        loaded.append(path)
        time.sleep(0.05)
        return iter([MediaItem(path, error="slow")])

    class Full(Kept):
        def write(self, records):
            raise WriteError("disk full")

    monkeypatch.setattr("captioner.pipelines.caption.work.load_media", slow)
    with Meter(60, "images", Console(file=io.StringIO()), quiet=True) as meter, pytest.raises(WriteError):
        caption_folder(paths, model, Outputs([Full()]), model.config.search, meter, Summary(), batch_size=10)
    assert len(loaded) < 40


def test_galleries_get_thumbnails_and_attention(model, make_photos):
    paths = [str(path) for path in sorted(make_photos(2).iterdir())]
    kept, _, _ = run(model, paths, pictures=True, num_captions=2)
    for record in kept.records:
        assert len(record.fields["captions"]) == len(record.picture.captions) == 2
        assert record.picture.thumbnail.size == (80, 96)
        assert record.picture.captions[0].attention.shape[0] == len(record.picture.captions[0].tokens)


def test_other_outputs_get_no_pictures(model, make_photos):
    kept, _, _ = run(model, [str(path) for path in make_photos(1).iterdir()])
    assert kept.records[0].picture is None


def test_an_image_too_large_for_memory_is_an_error_of_its_own(make_photos, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr("captioner.pipelines.media.read_photo", exhausted)
    loaded = load_photo(str(make_photos(1) / "photo0000.jpg"), Transform((8, 8)), 10**9, pictures=False)
    assert loaded.error == "too large for this machine's memory"


def test_a_batch_that_does_not_fit_is_halved_until_it_does():
    def work(batch):
        if len(batch) > 3:
            raise torch.cuda.OutOfMemoryError("full")
        return batch

    assert halve_on_oom(work, list(range(10))) == [[0, 1], [2, 3, 4], [5, 6], [7, 8, 9]]
    assert halve_on_oom(work, [1, 2]) == [[1, 2]]
    with pytest.raises(torch.cuda.OutOfMemoryError):
        halve_on_oom(lambda batch: work([0] * 9), [1, 2])
