"""Shards on an S3 server: the same rows, and each fault of a storage as one sentence."""

import json
import urllib.request

import pytest

from captioner.errors import DataError

HERE = ("--cluster", "here")

READ_ONLY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}],
}


@pytest.fixture
def shards(s3, make_photos, make_tar, tmp_path):
    """Three tar shards of two photos each in the bucket, and the photos one by one."""
    paths = sorted(make_photos(6).iterdir())
    for number in range(3):
        files = [(path.name, path.read_bytes()) for path in paths[2 * number : 2 * number + 2]]
        tar = make_tar(tmp_path / f"{number}.tar", files)
        s3.put_file(str(tar), f"photos/shards/{number}.tar")
    for path in paths:
        s3.put_file(str(path), f"photos/single/{path.name}")
    return paths


@pytest.fixture
def only_known(s3, s3_server, monkeypatch):
    """From now on the server checks credentials; returns a function that makes those of a user who may only read."""
    import boto3
    import s3fs

    iam = boto3.client("iam", endpoint_url=s3_server)
    iam.create_user(UserName="reader")
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps(READ_ONLY))
    key = iam.create_access_key(UserName="reader")["AccessKey"]

    def turn(requests):
        address, kind = f"{s3_server}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(address, requests, kind)).close()

    turn(b"0")

    def log_in():
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        s3fs.S3FileSystem.clear_instance_cache()

    s3fs.S3FileSystem.clear_instance_cache()
    yield log_in
    turn(b"inf")
    iam.delete_access_key(UserName="reader", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="reader", PolicyName="read")
    iam.delete_user(UserName="reader")


def rows_at(s3, folder):
    paths = sorted(path for path in s3.ls(folder) if path.endswith(".jsonl"))
    return [json.loads(line) for path in paths for line in s3.cat_file(path).splitlines()]


def test_shards_and_folders_of_a_bucket_give_the_rows_of_one_machine(run, s3, shards):
    expected = [json.loads(line) for line in run(*shards)[1].splitlines()]
    status, _, err = run("s3://photos/shards/{0..2}.tar", "-o", "s3://photos/out", *HERE)
    assert (status, err.split(" in ")[0]) == (0, "6 images and clips done")
    rows = rows_at(s3, "photos/out")
    assert [row["caption"] for row in rows] == [row["caption"] for row in expected]
    assert rows[0]["path"] == "s3://photos/shards/0.tar/photo0000.jpg"
    assert run("s3://photos/shards", "-o", "s3://photos/out", *HERE)[2].startswith("0 images and clips done")
    run("s3://photos/single/*.jpg", "-o", "s3://photos/more", *HERE, "--shard-size", 4)
    assert [row["caption"] for row in rows_at(s3, "photos/more")] == [row["caption"] for row in expected]
    assert run("s3://photos/single", "-o", "s3://photos/more", *HERE, "--shard-size", 4)[0] == 0
    assert len(rows_at(s3, "photos/more")) == 6


def test_a_photo_that_is_gone_is_a_row_that_says_so(run, s3, shards, tmp_path, rows_in):
    (tmp_path / "list.txt").write_text("s3://photos/single/photo0000.jpg\ns3://photos/single/gone.jpg\n")
    assert run(tmp_path / "list.txt", "-o", tmp_path / "out", *HERE)[0] == 1
    rows = rows_in(tmp_path / "out")
    assert "caption" in rows[0]
    assert rows[1] == {"path": "s3://photos/single/gone.jpg", "error": "cannot be read (no such file or directory)"}


@pytest.mark.parametrize("name", ["s3://photos/single", "s3://photos/v1.0", "s3://photos/single/"])
def test_a_list_names_folders_at_addresses_with_a_final_slash_or_without(run, s3, shards, tmp_path, rows_in, name):
    s3.put_file(str(shards[0]), "photos/v1.0/a.jpg")
    s3.put_file(str(shards[0]), "photos/bare")
    (tmp_path / "list.txt").write_text(f"s3://photos/bare\n{name}\ns3://photos/gone\ns3://nobody/gone\n")
    assert run(tmp_path / "list.txt", "-o", tmp_path / "out", *HERE)[0] == 1
    rows = {row["path"]: row for row in rows_in(tmp_path / "out")}
    inside = [f"s3://{path}" for path in s3.ls(name)]
    assert sorted(rows) == sorted(["s3://photos/bare", "s3://photos/gone", "s3://nobody/gone", *inside])
    assert [path for path, row in rows.items() if "caption" not in row] == ["s3://photos/gone", "s3://nobody/gone"]


def test_a_missing_shard_and_a_missing_bucket_are_one_sentence(run, s3, shards, tmp_path):
    for name in ("s3://photos/shards/{0..3}.tar", "s3://nobody/shards"):
        status, _, err = run(name, "-o", tmp_path / "out", *HERE)
        assert status == 2
        assert "no such file or folder; nothing has been done." in err
        assert err.count("\n") == 1


def test_a_shard_that_vanishes_before_its_turn_is_left_out_and_said(run, s3, shards, tmp_path, monkeypatch, rows_in):
    from captioner.pipelines.cluster.plan import ResultFolder

    begin = ResultFolder.begin
    monkeypatch.setattr(ResultFolder, "begin", lambda folder: (begin(folder), s3.rm("photos/shards/1.tar")))
    status, _, err = run("s3://photos/shards", "-o", tmp_path / "out", *HERE)
    assert status == 1
    assert "s3://photos/shards/1.tar: cannot be read (no such file or folder)." in err
    assert len(rows_in(tmp_path / "out")) == 4


def test_wrong_credentials_and_none_are_one_sentence(run, s3, shards, only_known, tmp_path, monkeypatch):
    import s3fs

    status, _, err = run("s3://photos/shards/*.tar", "-o", tmp_path / "out", *HERE)
    assert status == 2
    assert "s3://photos/shards/*.tar: cannot be listed, for access is refused" in err
    assert err.count("\n") == 1
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    s3fs.S3FileSystem.clear_instance_cache()
    status, _, err = run("s3://photos/shards/0.tar", "-o", tmp_path / "out", *HERE)
    assert status == 2
    assert err.count("\n") == 1


def test_a_bucket_that_refuses_writes_is_one_sentence_before_any_work(run, s3, shards, only_known):
    only_known()
    status, _, err = run("s3://photos/shards/0.tar", "-o", "s3://photos/out", *HERE)
    assert status == 2
    assert "s3://photos/out/captioner.json: cannot be written, for access is refused" in err
    assert err.count("\n") == 1


def test_a_server_that_does_not_answer_is_one_sentence(run, s3, monkeypatch, tmp_path):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    status, _, err = run("s3://photos/shards/0.tar", "-o", tmp_path / "out", *HERE)
    assert status == 2
    assert "s3://photos/shards/0.tar: cannot be read (" in err
    assert err.count("\n") == 1


def test_a_shard_that_a_network_spoilt_is_tried_again(run, s3, shards, tmp_path, monkeypatch, rows_in):
    from captioner.pipelines.cluster import staging

    opened, answers = staging.open_address, ["reset"]
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    def fail_once(address):
        if answers:
            raise DataError(f"{address}: cannot be read ({answers[0]}).") from ConnectionResetError(answers.pop())
        return opened(address)

    monkeypatch.setattr(staging, "open_address", fail_once)
    assert run("s3://photos/shards", "-o", tmp_path / "out", *HERE)[0] == 0
    assert len(rows_in(tmp_path / "out")) == 6


@pytest.mark.parametrize("name", ["s3a://photos/shards/{0..9}.tar", "s3://photos/folders/{0..9}/"])
def test_many_names_mean_the_same_as_few(run, s3, make_tar, make_photos, tmp_path, name):
    """A folder is listed once where many of its files are named."""
    photo = (make_photos(1) / "photo0000.jpg").read_bytes()
    tar = make_tar(tmp_path / "x.tar", [("a.jpg", photo)])
    for number in range(10):
        s3.put_file(str(tar), f"photos/shards/{number}.tar")
        s3.pipe_file(f"photos/folders/{number}/a.jpg", photo)
    status, _, err = run(name, "-o", "s3://photos/out", *HERE)
    assert (status, err.split(" in ")[0]) == (0, "10 images and clips done")


def test_a_file_that_is_called_like_a_pattern_is_found(run, s3, make_photos):
    s3.put_file(str(make_photos(1) / "photo0000.jpg"), "photos/a[1].jpg")
    run("s3://photos/a[1].jpg", "-o", "s3://photos/out", *HERE)
    assert [row["path"] for row in rows_at(s3, "photos/out")] == ["s3://photos/a[1].jpg"]


def test_lists_in_a_bucket_name_files_as_lists_here_do(run, s3, make_photos, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    s3.put_file(str(make_photos(1) / "photo0000.jpg"), "photos/single/a.jpg")
    names = ["../single/a.jpg", "./../single/a.jpg", "gone.jpg"]
    s3.pipe_file("photos/lists/x.txt", "\n".join(names).encode())
    parquet.write_table(pyarrow.table({"path": names}), tmp_path / "x.parquet")
    s3.put_file(str(tmp_path / "x.parquet"), "photos/lists/x.parquet")
    for suffix in ("txt", "parquet"):
        run(f"s3://photos/lists/x.{suffix}", "-o", f"s3://photos/out/{suffix}", *HERE)
        rows = rows_at(s3, f"photos/out/{suffix}")
        assert [row["path"] for row in rows] == ["s3://photos/single/a.jpg", "s3://photos/lists/gone.jpg"]
        assert "caption" in rows[0]
