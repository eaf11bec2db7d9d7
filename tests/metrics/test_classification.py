import cv2
import numpy as np
import pytest

from captioner.metrics.classification import ClassificationReport

LABELS = ["cat", "dog", "fox"]
TRUE, SAID = [0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0]


def test_precision_recall_and_confusions():
    report = ClassificationReport.of(LABELS, TRUE, SAID, range(6))
    assert report.accuracy == pytest.approx(4 / 6)
    assert report.confusion.tolist() == [[2, 1, 0], [1, 2, 0], [0, 0, 0]]
    cat, fox = report.classes()["cat"], report.classes()["fox"]
    assert (cat.precision, cat.recall, cat.count) == (pytest.approx(2 / 3), pytest.approx(2 / 3), 3)
    assert (fox.precision, fox.recall, fox.count) == (None, None, 0)


def test_clips_of_one_group_count_for_less():
    true, said = [0] * 100, [0] * 80 + [1] * 20
    alone = ClassificationReport.of(LABELS, true, said, range(100)).interval
    together = ClassificationReport.of(LABELS, true, said, [number // 10 for number in range(100)]).interval
    assert together[0] < alone[0] < 0.8 < alone[1] < together[1]


def test_no_mistake_is_not_taken_for_perfection():
    low, high = ClassificationReport.of(LABELS, [0] * 17, [0] * 17, range(17)).interval
    assert (low, high) == (pytest.approx(0.816, abs=1e-3), pytest.approx(1.0))  # Wilson's for 17 of 17


def test_the_confusion_matrix_is_drawn(tmp_path):
    ClassificationReport.of(LABELS, TRUE, SAID, range(6)).draw(tmp_path / "confusion.png", "three classes")
    picture = cv2.imread(str(tmp_path / "confusion.png"))
    assert min(picture.shape[:2]) > 300
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 10
