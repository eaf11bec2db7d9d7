import pytest

from captioner.metrics.line_scores import LineScores, confusions


def test_rates_are_edits_over_all_lines_by_what_they_truly_hold():
    totals = LineScores.of(["eins zwei", "drei"], ["eins zwo", "drei"]).totals
    assert totals["CER"] == pytest.approx(2 / 13)
    assert totals["WER"] == pytest.approx(1 / 3)
    assert totals["accuracy"] == 0.5


def test_words_are_right_alphanumerically_in_either_case_and_without_marks():
    totals = LineScores.of(["Open!", "$5"], ["OPEN", "6"]).totals
    assert totals["accuracy"] == 0.0
    assert totals["alphanumeric"] == 0.5


def test_composed_and_decomposed_letters_are_the_same():
    assert LineScores.of(["über"], ["u\u0308ber"]).totals["CER"] == 0.0


def test_an_interval_holds_the_score_and_is_the_same_each_time():
    scores = LineScores.of(["abcd"] * 30, ["abcd"] * 20 + ["abxd"] * 10)
    low, high = scores.intervals(200)["CER"]
    assert low < scores.totals["CER"] < high
    assert scores.intervals(200)["CER"] == (low, high)


def test_a_system_that_is_always_better_differs_surely_and_the_same_system_does_not():
    truths = ["abcd"] * 40
    good, bad = LineScores.of(truths, ["abcd"] * 39 + ["xbcd"]), LineScores.of(truths, ["abcx"] * 20 + ["abcd"] * 20)
    assert good.compare(bad, 200)["CER"].p_value < 0.05
    assert good.compare(bad, 200)["CER"].difference < 0
    assert good.compare(good, 200)["CER"].p_value == 1.0


def test_the_most_frequent_confusion_comes_first_with_what_was_left_out_and_put_in():
    found = confusions(["ſein", "ſo", "ab"], ["fein", "fo", "b"])
    assert (found[0].truth, found[0].text, found[0].count) == ("ſ", "f", 2)
    assert (found[1].truth, found[1].text) == ("a", "")
