from captioner.data.copies import digest_of_file, find_copies


def test_copies_are_found_under_any_name_and_only_files_of_one_size_are_read(tmp_path):
    contents = {"a": b"one", "b": b"two", "c": b"three", "copy": b"one", "other": b"six"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    read = []

    def digest(name):
        read.append(name)
        return digest_of_file(tmp_path / name)

    found = find_copies(["a", "b", "c"], ["copy", "other"], lambda name: len(contents[name]), digest)
    assert found == ["a"]
    assert "c" not in read
