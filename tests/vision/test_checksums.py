from captioner.vision.checksums import fingerprint


def test_long_clips_of_frames_of_one_size_that_begin_and_end_in_black_are_told_apart(tmp_path):
    black, red, blue = (bytes([value]) * 200_000 for value in (0, 1, 2))
    for name, colour in (("red.dv", red), ("blue.dv", blue), ("copy.dv", red)):
        (tmp_path / name).write_bytes(black + colour * 10 + black)
    assert fingerprint(tmp_path / "red.dv") != fingerprint(tmp_path / "blue.dv")
    assert fingerprint(tmp_path / "red.dv") == fingerprint(tmp_path / "copy.dv")
