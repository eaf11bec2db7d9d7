import pytest

from captioner.errors import DataError
from captioner.recurrent import capacity
from captioner.recurrent.capacity import free_memory, require_memory


def test_a_machine_has_free_memory():
    assert 10**7 < free_memory() < 10**15


def test_a_containers_limit_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(capacity, "_CONTROL_GROUP", tmp_path)
    free = free_memory()
    (tmp_path / "memory.current").write_text("3000000\n", encoding="ascii")
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    assert free_memory() == pytest.approx(free, rel=0.5)
    (tmp_path / "memory.max").write_text("5000000\n", encoding="ascii")
    assert free_memory() == 2_000_000


def test_memory_is_known_where_there_is_no_sysconf(monkeypatch):
    monkeypatch.delattr("os.sysconf", raising=False)
    assert free_memory() > 0


def test_what_fits_is_allowed_and_what_does_not_is_told_how_many_steps_would(monkeypatch):
    monkeypatch.setattr(capacity, "free_memory", lambda device: 10_000)
    require_memory(each_step=90, besides=1000, steps=100, what="gradients")
    with pytest.raises(DataError, match=r"gradients over 101 steps need about 0\.0 MB of memory.*at most 100 steps"):
        require_memory(each_step=90, besides=1000, steps=101, what="gradients")
    with pytest.raises(DataError, match="smaller network or fewer sequences"):
        require_memory(each_step=90, besides=10_000, steps=1, what="gradients")
