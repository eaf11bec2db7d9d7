import gzip
import random
import re

import pytest

from captioner.data.pair_checks import find_slip
from captioner.data.parallel import filter_lengths, read_lines, read_pairs, read_table
from captioner.errors import DataError


def write(path, *lines):
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_two_files_are_read_line_by_line_plain_or_gzipped(tmp_path):
    source = write(tmp_path / "a.en.gz", "A dog.", "", "Two  cats.")
    target = write(tmp_path / "a.de", "Ein Hund.", "", " Zwei Katzen. ")
    assert read_pairs(source, target) == [("A dog.", "Ein Hund."), ("Two  cats.", "Zwei Katzen.")]


def test_files_of_different_lengths_name_both_counts_and_where_they_slipped(tmp_path):
    lines = ["A dog runs.", "Two very large cats sleep on the sofa.", "A man.", "Three children play football outside."]
    source = write(tmp_path / "a.en", *lines)
    target = write(tmp_path / "a.de", *(line for line in lines if line != "A man."))
    with pytest.raises(DataError, match=r"a\.en has 4 lines, but .*a\.de has 3; .* at line 3,"):
        read_pairs(source, target)


def test_a_table_gives_the_columns_that_are_asked_for(tmp_path):
    table = write(tmp_path / "tatoeba.tsv", "1\tA dog.\t7\tEin Hund.", "2\tA cat.\t8\tEine Katze.")
    assert read_table(table, (1, 3)) == [("A dog.", "Ein Hund."), ("A cat.", "Eine Katze.")]


def test_a_line_with_too_few_columns_is_named(tmp_path):
    with pytest.raises(DataError, match="line 2 has 1 columns"):
        read_table(write(tmp_path / "a.tsv", "A dog.\tEin Hund.", "A cat."))


def test_an_empty_cell_at_an_end_of_a_line_keeps_the_columns_in_their_places(tmp_path):
    table = write(tmp_path / "a.tsv", "\tA dog.\tEin Hund.\tx", "1\tA cat.\t\ty", "\t\t\t", "2\tA man.\tEin Mann.\t")
    assert read_table(table, (1, 2)) == [("A dog.", "Ein Hund."), ("A man.", "Ein Mann.")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_line_ends_and_marks_of_any_system_give_the_same_lines(tmp_path, end, encoding):
    (tmp_path / "a.en").write_bytes(end.join(["A dog.", "", "A cat."]).encode(encoding))
    assert read_lines(tmp_path / "a.en") == ["A dog.", "", "A cat."]


def test_a_damaged_gzip_file_is_an_error(tmp_path):
    data = bytearray(gzip.compress(b"A dog.\n" * 100))
    data[12] ^= 0xFF
    (tmp_path / "a.en.gz").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.en\.gz: cannot be read as text"):
        read_lines(tmp_path / "a.en.gz")


def test_pairs_of_very_different_lengths_are_left_out():
    fits, long, uneven = ("a b c", "d e"), ("a " * 30, "b " * 30), ("a", "b c d e f g h")
    assert filter_lengths([fits, long, uneven], most_words=20, ratio=3) == [fits]


def test_scripts_without_spaces_and_endless_words_are_measured_by_their_characters():
    chinese = ("A man is riding his bicycle on the street.", "一个男人在街上骑着他的自行车。")
    endless = ("a" * 1000, "b " * 12)
    assert filter_lengths([chinese, endless, chinese[::-1]], most_words=20, ratio=3) == [chinese, chinese[::-1]]


def test_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "a.en").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.en: is empty"):
        read_lines(tmp_path / "a.en")


def test_text_without_a_single_pair_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no line holds a sentence and its translation"):
        read_pairs(write(tmp_path / "a.en", "A dog.", ""), write(tmp_path / "a.de", "", "Katze."))


def test_latin_1_is_an_error_that_says_how_to_convert_it(tmp_path):
    (tmp_path / "a.de").write_bytes("Mädchen\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"not UTF-8 text \(byte 0xe4 at position 1\); convert it"):
        read_lines(tmp_path / "a.de")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read as text"):
        read_lines(tmp_path / "a.de")


def test_sides_that_are_the_same_text_are_no_translations(tmp_path):
    lines = [f"Dog {'x' * number}." for number in range(30)]
    source = write(tmp_path / "a.en", *lines)
    with pytest.raises(DataError, match=r"a\.en and .*a\.en: all 30 sentences are their own translations"):
        read_pairs(source, source)
    corrected = [*lines[:29], "Dogs."]
    assert read_pairs(source, write(tmp_path / "b.en", *corrected))[28:] == [(lines[28],) * 2, (lines[29], "Dogs.")]
    assert read_pairs(write(tmp_path / "c", "Taxi"), write(tmp_path / "d", "Taxi")) == [("Taxi", "Taxi")]


def test_numbers_may_be_written_as_words(tmp_path):
    numbers, words = write(tmp_path / "a", "1", "2"), write(tmp_path / "b", "one", "two")
    assert read_pairs(numbers, words) == [("1", "one"), ("2", "two")]


def test_a_column_of_numbers_is_no_text(tmp_path):
    table = write(tmp_path / "tatoeba.tsv", "12\tA dog.\t7\tEin Hund.", "13\tA cat.\t8\tEine Katze.")
    with pytest.raises(
        DataError, match=r"tatoeba\.tsv: 2 of 2 sentences have no letter, such as '12'; name the columns"
    ):
        read_table(table)


def test_cells_in_quotes_lose_them_if_most_are(tmp_path):
    quoted = write(tmp_path / "a.tsv", '"A dog."\t"Ein ""Hund""."', '"A cat."\t"Eine Katze."', "A man.\tEin Mann.")
    assert read_table(quoted) == [("A dog.", 'Ein "Hund".'), ("A cat.", "Eine Katze."), ("A man.", "Ein Mann.")]
    said = write(tmp_path / "b.tsv", '"Hi."\t"Hallo."', "A cat.\tEine Katze.", "A man.\tEin Mann.")
    assert read_table(said)[0] == ('"Hi."', '"Hallo."')


@pytest.mark.parametrize("place", [0, 70])
@pytest.mark.parametrize("short", [0, 1])
def test_of_files_of_the_same_length_that_have_slipped_the_line_is_named(place, short):
    draw = random.Random(0)
    lines = ["x" * draw.randrange(5, 90) for _ in range(121)]
    sides = [lines[:120], lines[:120]]
    assert find_slip(lines, [f"y{line}" for line in lines], "a and b") == ""
    sides[short] = lines[:place] + lines[place + 1 :]
    said = find_slip(sides[0], [f"y{line}" for line in sides[1]], "a and b")
    assert said.startswith("a and b seem to have slipped: from line ")
    assert abs(int(re.search(r"line (\d+)", said)[1]) - place) < 3


def test_sentences_whose_lengths_say_nothing_have_not_slipped():
    draw = random.Random(0)
    drawn = [["x" * draw.randrange(1, 90) for _ in range(200)], ["z" * draw.randrange(1, 90) for _ in range(200)]]
    assert find_slip(*drawn, "a and b") == ""
    assert find_slip(["x"] * 200, ["y"] * 200, "a and b") == ""
