"""Three small nodes on the loopback address, of which one is killed; a driver that is killed; no cluster at all."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from captioner.pipelines import cli

ON_LOOPBACK = """
import ray._private.services as services
services.resolve_ip_for_localhost = lambda host: host  # Ray would take the address of the machine's own network
services.get_node_ip_address = lambda *arguments, **options: "127.0.0.1"
"""
DRIVER = f"{ON_LOOPBACK}\nimport sys\nfrom captioner.pipelines import cli\nsys.argv = sys.argv[1:]\ncli.main()"
NODE = {"object_store_memory": 100 << 20, "node_ip_address": "127.0.0.1", "include_dashboard": False}


@pytest.fixture
def start(monkeypatch, capfd):
    """Runs `captioner caption` in this process; returns its status and standard error."""

    def start(*arguments):
        monkeypatch.setattr(sys, "argv", ["captioner", "caption", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        return exit.value.code or 0, capfd.readouterr().err

    return start


@pytest.fixture(scope="module")
def cluster():
    """Ray's own cluster for tests, of a head and two nodes with one core each."""
    pytest.importorskip("ray", reason="Ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        import ray
        import ray._private.services as services

        for name in ("resolve_ip_for_localhost", "get_node_ip_address"):
            patch.setattr(services, name, getattr(services, name))  # is put back afterwards
        exec(ON_LOOPBACK)
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **NODE})
        try:
            cluster.workers = [cluster.add_node(num_cpus=1, **NODE) for _ in range(2)]
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()


def when_shards(folder, count, act):
    """Starts a thread that acts once a folder holds so many shards of results."""

    def wait():
        deadline = time.monotonic() + 400
        while len(list(folder.glob("*.jsonl"))) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.slow
def test_killed_driver_and_killed_node_lose_and_double_nothing(
    cluster, start, model_folder, make_photos, tmp_path, rows_in, capfd
):
    drawn = sorted(make_photos(8).iterdir())
    for number in range(200):
        shutil.copy(drawn[number % 8], tmp_path / "photos" / f"{number:04}.jpg")
    out = tmp_path / "out"
    arguments = ["caption", tmp_path / "photos", "--model", model_folder]
    on_cluster = [*arguments, "-o", out, "--shard-size", 10, "--cluster", cluster.address]

    driver = subprocess.Popen([sys.executable, "-c", DRIVER, "captioner", *map(str, on_cluster)])
    when_shards(out, 1, lambda: os.kill(driver.pid, signal.SIGKILL)).join()
    driver.wait()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.jsonl")}
    assert 1 <= len(before) < 21

    node = cluster.workers[0]
    killer = when_shards(out, len(before) + 3, lambda: cluster.remove_node(node, allow_graceful=False))
    status, err = start(*on_cluster[1:])
    killer.join()
    assert status == 0, err
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not list(out.glob("*.part"))
    assert start(*arguments[1:], "-o", tmp_path / "alone.jsonl")[0] == 0
    alone = [json.loads(line) for line in (tmp_path / "alone.jsonl").read_text().splitlines()]
    assert rows_in(out) == alone
    assert len(alone) == 208


@pytest.mark.slow
def test_workers_of_a_cluster_look_for_a_search(cluster, finder_folder, make_photos, monkeypatch, capfd, tmp_path):
    make_photos(6)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rows = []
    for where in (["--index", "alone"], ["--index", "together", "--cluster", cluster.address, "--shards", "seen"]):
        arguments = ["search", "a dog", "photos", "--model", str(finder_folder), "--shard-size", "2", *where]
        monkeypatch.setattr(sys, "argv", ["captioner", *arguments])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capfd.readouterr()
        assert not exit.value.code, err
        assert "6 images or clips done" in err
        rows.append(out)
    assert rows[0] == rows[1]
    assert rows[0].count("\n") == 6


def test_a_cluster_that_cannot_be_reached_is_one_sentence(start, model_folder, make_photos, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed")
    arguments = (make_photos(1), "-o", tmp_path / "out", "--model", model_folder)
    status, err = start(*arguments, "--cluster", "127.0.0.1:9")
    assert status == 2
    assert "127.0.0.1:9: no cluster can be reached there (connection refused)" in err
    assert err.count("\n") == 1
    assert "give HOST:PORT of its head" in start(*arguments, "--cluster", "somewhere")[1]


def test_without_ray_the_extra_is_named(start, model_folder, make_photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    status, err = start(make_photos(1), "-o", tmp_path / "out", "--model", model_folder, "--cluster", "local")
    assert status == 2
    assert 'pip install "captioner[cluster]"' in err


def test_a_cluster_that_does_not_start_is_one_sentence(start, model_folder, make_photos, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed")

    def fail(**options):
        raise Exception("The current node timed out during startup.\nMore of it.")

    monkeypatch.setattr(ray, "init", fail)
    status, err = start(make_photos(1), "-o", tmp_path / "out", "--model", model_folder, "--cluster", "local")
    assert status == 2
    assert "--cluster local: cannot be used (The current node timed out during startup)." in err
    assert err.count("\n") == 1
