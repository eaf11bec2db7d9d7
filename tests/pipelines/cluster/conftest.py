"""The command, its shards, and an S3 server on the loopback address."""

import io
import json
import sys
import tarfile

import pytest

from captioner.pipelines import cli


@pytest.fixture
def run(model_folder, monkeypatch, capfd, workers_here):
    """Runs the command; with `--cluster here` its workers are in this process. Returns status and outputs."""

    def run(*arguments, model=model_folder):
        monkeypatch.setattr(sys, "argv", ["captioner", "caption", *map(str, arguments), "--model", str(model)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capfd.readouterr()
        return exit.value.code or 0, out, err

    return run


@pytest.fixture
def rows_in():
    """The rows of a folder's JSON Lines shards, in the order of their names."""

    def rows_in(folder):
        return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]

    return rows_in


@pytest.fixture
def make_tar():
    """Writes a tar file of photos and other files; returns its path."""

    def make_tar(path, files):
        with tarfile.open(path, "w") as tar:
            for name, data in files:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return path

    return make_tar


@pytest.fixture(scope="session")
def s3_server():
    """The address of an S3 server that any credentials open."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch):
    """A file system with an empty bucket `photos`."""
    import s3fs

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem(use_listings_cache=False)
    if system.exists("photos"):
        system.rm("photos", recursive=True)
    system.mkdir("photos")
    yield system
    s3fs.S3FileSystem.clear_instance_cache()
