import contextlib
import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.data.caption_forms import find_captions
from captioner.data.captions import CaptionSet
from captioner.errors import DataError

WANTED = {"a.jpg": ("A dog, running.", "A dog runs."), "b.jpg": ("A cat.", "The cat sits.")}
PAIRS = [(name, text) for name, texts in WANTED.items() for text in texts]


def found_in(path):
    return {entry.name: entry.captions for entry in find_captions(path).entries}


def table(separator, header=()):
    quoted = '"{}"' if separator in ",;" else "{}"
    lines = [separator.join(header)] * bool(header) + [
        f"{name}{separator}{quoted.format(text)}" for name, text in PAIRS
    ]
    return "\n".join(lines) + "\n"


COCO = {
    "images": [{"id": f"x{place}", "file_name": name} for place, name in enumerate(WANTED)],
    "annotations": [
        {"image_id": f"x{place}", "caption": text} for place, texts in enumerate(WANTED.values()) for text in texts
    ],
}
KARPATHY = {
    "images": [
        {"filename": name, "split": "train", "imgid": place, "sentences": [{"raw": text} for text in texts]}
        for place, (name, texts) in enumerate(WANTED.items())
    ]
}
FORMS = {
    "captions.json": (json.dumps(COCO), "COCO captions"),
    "dataset.json": (json.dumps(KARPATHY), "Karpathy's JSON"),
    "list.json": (json.dumps([{"image": name, "caption": list(texts)} for name, texts in WANTED.items()]), "a list of"),
    "names.json": (json.dumps({name: list(texts) for name, texts in WANTED.items()}), "captions by photos' names"),
    "commas.csv": (table(",", ["image", "caption"]), "a table separated by commas"),
    "excel.csv": ("\ufeff" + table(";", ["File Name", "Caption"]), "a table separated by semicolons"),
    "tabs.tsv": (table("\t", ["path", "text"]), "a table separated by tabs"),
    "captions.txt": (table(",", ["image", "caption"]), "a table separated by commas"),
    "results.csv": (table("| ", ["image_name", " comment"]).replace("| ", "|  "), "a table separated by bars"),
    "Flickr8k.token.txt": (
        "".join(f"{name}#{place % 2}\t{text}\n" for place, (name, text) in enumerate(PAIRS)),
        "a table separated by tabs, without names of columns",
    ),
    "no_header.csv": (table(","), "a table separated by commas, without names of columns"),
    "wide.csv": (
        "split,filepath,caption_1,caption_2\n"
        + "".join(f'train,{name},"{first}","{second}"\n' for name, (first, second) in WANTED.items()),
        "a table separated by commas",
    ),
    "metadata.jsonl": (
        "".join(json.dumps({"file_name": name, "text": text}) + "\n" for name, text in PAIRS),
        "JSON Lines",
    ),
    "ours.jsonl": (
        "".join(
            json.dumps({"path": name, "captions": [{"caption": text, "score": -1} for text in texts]}) + "\n"
            for name, texts in WANTED.items()
        )
        + '{"path": "c.jpg", "error": "not an image"}\n',
        "JSON Lines",
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_of_file_gives_the_same_photos_and_captions(tmp_path, name):
    content, form = FORMS[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    found = found_in(tmp_path / name)
    found.pop("c.jpg", None)
    assert found == WANTED
    assert find_captions(tmp_path / name).form.startswith(form)
    captions = CaptionSet.read(tmp_path / name)
    assert [image.captions for image in captions] == list(WANTED.values())


def test_parquet_files_give_the_same_and_their_pictures_are_not_read(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"pixels": [b"x"] * 4, "image": [name for name, _ in PAIRS], "caption": [text for _, text in PAIRS]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    assert found_in(tmp_path / "a.parquet") == WANTED
    parquet.write_table(pyarrow.table({"image": ["a.jpg"], "label": [1]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: has the columns image, label, but not a photo and a caption"):
        find_captions(tmp_path / "b.parquet")


def test_the_summary_says_the_form_what_was_found_and_in_which_columns(tmp_path):
    (tmp_path / "a.csv").write_text(
        "image,caption,split\na.jpg,A dog.,train\na.jpg,A dog runs.,train\nb.jpg,A cat.,val\n"
    )
    assert find_captions(tmp_path / "a.csv").summary() == (
        f"{tmp_path}/a.csv: a table separated by commas: 2 photos, 1 to 2 captions each, columns image, caption and "
        "split, 1 in train, 1 in val"
    )


def test_columns_of_other_names_may_be_named(tmp_path):
    (tmp_path / "a.csv").write_text("no,bild,beschreibung\n1,a.jpg,Ein Hund.\n")
    with pytest.raises(DataError, match="no table of photos and captions"):
        find_captions(tmp_path / "a.csv")
    found = find_captions(tmp_path / "a.csv", {"image": "bild", "caption": "beschreibung"})
    assert [(entry.name, entry.captions) for entry in found.entries] == [("a.jpg", ("Ein Hund.",))]
    with pytest.raises(DataError, match="no table of photos and captions"):
        find_captions(tmp_path / "a.csv", {"image": "bild", "caption": "text"})


def test_a_photo_is_one_however_its_name_is_written(tmp_path):
    rows = [("sub\\é.jpg", "One."), ("sub/e\u0301.jpg", "Two."), ("./sub/é.jpg#2", "Three.")]
    (tmp_path / "a.tsv").write_text("image\tcaption\n" + "".join(f"{name}\t{text}\n" for name, text in rows))
    assert found_in(tmp_path / "a.tsv") == {"sub/é.jpg": ("One.", "Two.", "Three.")}


def test_quotes_inside_captions_stay_where_cells_are_separated_by_tabs(tmp_path):
    text = 'a.jpg#0\t"Bulls" fans cheer .\nb.jpg#0\tA man in a "Go" shirt .\nc.jpg#0\t"A cat sleeps ."\n'
    (tmp_path / "a.token").write_text(text)
    assert [texts[0] for texts in found_in(tmp_path / "a.token").values()] == [
        '"Bulls" fans cheer .',
        'A man in a "Go" shirt .',
        "A cat sleeps .",
    ]


def test_commas_without_quotes_belong_to_the_caption_and_rows_that_are_too_short_are_named(tmp_path, caplog):
    rows = "a.jpg,A dog, a cat, and a bird.\nb.jpg\nc.jpg,A cow.\n,A horse.\n,\n"
    (tmp_path / "a.csv").write_text(f"image,caption\n{rows}")
    assert found_in(tmp_path / "a.csv") == {"a.jpg": ("A dog, a cat, and a bird.",), "c.jpg": ("A cow.",)}
    CaptionSet.read(tmp_path / "a.csv")
    assert "a.csv: 1 rows have too few cells or too many, and are left out (rows 2); quote" in caplog.text
    assert "a.csv: 1 rows have a caption, but no image, and are left out; name the photo in each row." in caplog.text


def test_a_caption_that_a_comma_cuts_in_two_is_left_out_and_said_where_another_column_follows(tmp_path, caplog):
    rows = 'a.jpg,A dog, a cat,CC0\nb.jpg,"A cow, a dog.",CC0\nc.jpg,A bird.,CC0,,\n'
    (tmp_path / "a.csv").write_text(f"image,caption,licence\n{rows}")
    assert found_in(tmp_path / "a.csv") == {"b.jpg": ("A cow, a dog.",), "c.jpg": ("A bird.",)}
    CaptionSet.read(tmp_path / "a.csv")
    assert "a.csv: 1 rows have too few cells or too many, and are left out (rows 1); quote" in caplog.text


def test_a_key_that_json_has_twice_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"a.jpg": "One.", "b.jpg": "Two.", "a.jpg": "Three."}')
    (tmp_path / "a.jsonl").write_text('{"image": "a.jpg", "caption": "One.", "caption": "Two."}\n')
    with pytest.raises(DataError, match=r"a\.json: .*'a\.jpg' is there twice"):
        find_captions(tmp_path / "a.json")
    with pytest.raises(DataError, match=r"a\.jsonl: line 1 .*'caption' is there twice"):
        find_captions(tmp_path / "a.jsonl")


def test_lists_of_photos_beside_a_table_are_apart_and_hide_no_broken_row(tmp_path, caplog):
    (tmp_path / "a.token.txt").write_text("a.jpg#0\tA dog .\nb.jpg#0\tA cat .\nc.jpg#0\nd.jpg#0\tA cow .\n" * 2)
    (tmp_path / "b_trainImages.txt").write_text("a.jpg\n")
    (tmp_path / "b_testImages.txt").write_text("b.jpg\n")
    CaptionSet.read(tmp_path / "a.token.txt")
    assert "2 rows have too few cells" in caplog.text
    assert "1 photos are in none of" in caplog.text
    (tmp_path / "b_trainImages.txt").write_text("a.jpg\nb.jpg\n")
    with pytest.raises(DataError, match=r"b_trainImages\.txt: names b\.jpg, which is in test too"):
        find_captions(tmp_path / "a.token.txt")


def test_other_encodings_are_read_or_named(tmp_path):
    text = "image\tcaption\na.jpg\tEin Mädchen.\n"
    (tmp_path / "utf16.txt").write_bytes(text.encode("utf-16"))
    (tmp_path / "packed.tsv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "packed.jsonl.gz").write_bytes(gzip.compress(b'{"file_name": "a.jpg", "text": "Ein M\\u00e4dchen."}'))
    assert found_in(tmp_path / "packed.jsonl.gz") == found_in(tmp_path / "packed.tsv.gz")
    assert found_in(tmp_path / "utf16.txt") == found_in(tmp_path / "packed.tsv.gz") == {"a.jpg": ("Ein Mädchen.",)}
    (tmp_path / "latin.tsv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.tsv: not UTF-8 text \(byte 0xe4 at position 25\)"):
        find_captions(tmp_path / "latin.tsv")
    (tmp_path / "zeros.tsv").write_bytes(text.replace("ä", "a").encode("utf-16-le"))
    with pytest.raises(DataError, match="zero bytes"):
        find_captions(tmp_path / "zeros.tsv")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "no table of photos and captions"),
        ("a.csv", "image,label\na.jpg,cat\n", "no table of photos and captions"),
        ("a.txt", "a.jpg\nb.jpg\n", "no table of photos and captions"),
        ("a.jsonl", '{"file_name": "a.jpg"', "line 1 is not JSON, or cut short"),
        ("a.jsonl", "[1]\n", "row 1 is list, not an object"),
        ("a.jsonl", '{"file_name": "a.jpg", "label": 3}\n', "has the columns file_name, label, but not"),
        ("a.json", '{"a.jpg": 3}', "neither COCO captions"),
        ("a.csv", "image,caption\n,A dog.\n", "no row names a photo"),
        ("a.parquet", "PAR1", "Parquet"),
    ],
)
def test_files_that_hold_no_captions_say_what_is_wrong(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message) as error:
        find_captions(tmp_path / name)
    assert str(error.value).startswith(str(tmp_path / name))


@settings(max_examples=300)
@given(
    suffix=st.sampled_from([".csv", ".tsv", ".txt", ".token", ".json", ".jsonl", ".tar"]),
    content=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.lists(st.lists(st.text(max_size=8), max_size=4), max_size=6).map(
            lambda rows: "\n".join(["image,caption", *(",".join(row) for row in rows)]).encode("utf-8", "replace")
        ),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.sampled_from(["images", "annotations", "id", "caption", "image", "a.jpg"]), inner)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_any_content_is_captions_or_one_sentence(tmp_path_factory, suffix, content):
    path = tmp_path_factory.mktemp("any") / f"a{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        CaptionSet.read(path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.jpg,A dog.,train\na.jpg,A dog.,val\n", r"a\.csv: a\.jpg is in the splits train and val"),
        ("a.jpg,A dog.,train\nb.jpg,A cat.,eval\n", r"a\.csv: b\.jpg has the split 'eval'; known are train"),
    ],
)
def test_a_photo_in_two_splits_or_in_an_unknown_one_is_refused(tmp_path, rows, message):
    (tmp_path / "a.csv").write_text(f"image,caption,split\n{rows}")
    with pytest.raises(DataError, match=message):
        find_captions(tmp_path / "a.csv")


def test_a_column_that_names_no_split_and_rows_without_one_are_no_error(tmp_path):
    (tmp_path / "a.csv").write_text("image,caption,part\na.jpg,A dog.,front\nb.jpg,A cat.,back\n")
    (tmp_path / "b.csv").write_text("image,caption,split\na.jpg,A dog.,\nb.jpg,A cat., Val \n")
    assert [entry.split for entry in find_captions(tmp_path / "a.csv").entries] == [None, None]
    assert [entry.split for entry in find_captions(tmp_path / "b.csv").entries] == [None, "val"]


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("image,caption,caption\na.jpg,A dog.,A dog runs.\n")
    with pytest.raises(DataError, match="column caption twice; call them caption_1 and caption_2"):
        find_captions(tmp_path / "a.csv")


def test_lists_that_are_written_as_text_are_several_captions(tmp_path):
    path = tmp_path / "flickr.csv"
    lists = '"[""A dog runs."", ""A brown dog.""]",1.jpg\n"[\'A cat\', \'Two cats\']",2.jpg\n,3.jpg\n'
    path.write_text(f"raw,filename\n{lists}")
    assert found_in(path) == {"1.jpg": ("A dog runs.", "A brown dog."), "2.jpg": ("A cat", "Two cats"), "3.jpg": ()}
    path.write_text(f'raw,filename\n{lists}"[""A cow"", ""Two",4.jpg\n')
    with pytest.raises(DataError, match="is no list of captions, as other rows have"):
        find_captions(path)
    path.write_text("raw,filename\n[A dog runs],1.jpg\n")
    assert found_in(path) == {"1.jpg": ("[A dog runs]",)}


def test_a_quotation_mark_that_is_not_closed_is_refused_where_it_holds_other_rows(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text('image,caption\na.jpg,A dog\nb.jpg,"No entry sign\nc.jpg,A red sign\na.jpg,The dog\n')
    with pytest.raises(DataError, match=r"row 3 has a quotation mark that is not closed.*row of c\.jpg"):
        find_captions(path)
    path.write_text('image,caption\na.jpg,"A dog,\nand a cat"\nb.jpg,"Stop" sign\n')
    assert set(found_in(path)) == {"a.jpg", "b.jpg"}


def test_the_split_of_a_table_without_names_of_columns_counts(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text("a.jpg,A dog runs fast,train\nb.jpg,A cat sits here,test\n")
    assert {entry.name: entry.split for entry in find_captions(path).entries} == {"a.jpg": "train", "b.jpg": "test"}


def test_several_columns_of_captions_without_names_are_refused(tmp_path):
    path = tmp_path / "captions.csv"
    path.write_text("a.jpg,A dog runs, and barks\nb.jpg,A cat, sits here\n")
    with pytest.raises(DataError, match="does not name its columns, of which 2 may hold captions"):
        find_captions(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", '[{"image": "a.jpg", "caption": "A dog runs.", "captions": ["A dog runs.", "A dog."]}]'),
        ("c.json", '{"a.jpg": {"caption": "A dog runs.", "captions": ["A dog runs.", "A dog."]}}'),
        ("c.jsonl", '{"image": "a.jpg", "captions": ["A dog runs.", "A dog."], "caption": "A dog runs."}\n'),
        ("c.csv", 'image,caption,captions\na.jpg,A dog runs.,"[""A dog runs."", ""A dog.""]"\n'),
    ],
)
def test_caption_and_captions_are_both_taken_and_equal_ones_once(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert [entry.captions for entry in find_captions(tmp_path / name).entries] == [("A dog runs.", "A dog.")]


def test_numbers_of_captions_stand_behind_names_without_a_suffix_too(tmp_path):
    rows = ["image,caption", "p0#0,A dog.", "p0#1,A red dog.", "p1#0,A cat.", "p1#1,A red cat."]
    (tmp_path / "c.csv").write_text("\n".join(rows))
    found = {entry.name: entry.captions for entry in find_captions(tmp_path / "c.csv").entries}
    assert found == {"p0": ("A dog.", "A red dog."), "p1": ("A cat.", "A red cat.")}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", "image,caption,captions\na.jpg,A dog runs.,5\n"),
        ("c.json", '[{"image": "a.jpg", "caption": "A dog runs.", "captions": "5"}]'),
        ("c.csv", "image,title,titles\na.jpg,A dog runs.,Dogs\n"),
        ("c.json", '{"a.jpg": {"title": "A dog runs.", "titles": "Dogs"}}'),
    ],
)
def test_a_number_of_captions_and_other_pairs_of_columns_are_no_captions(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert [entry.captions for entry in find_captions(tmp_path / name).entries] == [("A dog runs.",)]


def test_cells_may_be_as_long_as_a_photo_in_base64(tmp_path):
    (tmp_path / "c.csv").write_text(f"image,data,caption\na.jpg,{'A' * 200_000},A dog.\n")
    assert [entry.captions for entry in find_captions(tmp_path / "c.csv").entries] == [("A dog.",)]
