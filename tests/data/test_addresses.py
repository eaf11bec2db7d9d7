import pytest

from captioner.data.addresses import joined


@pytest.mark.parametrize(
    ("folder", "name", "address"),
    [
        ("s3://b/a", "x.jpg", "s3://b/a/x.jpg"),
        ("s3://b/a/", "./c/../x/", "s3://b/a/x/"),
        ("s3://b/a/c", "../x.jpg", "s3://b/a/x.jpg"),
        ("s3://photos", "../others/x.jpg", "s3://photos/others/x.jpg"),
        ("http://host/a", "../../../x.jpg", "http://host/x.jpg"),
        ("memory:///a/c", "../x.jpg", "memory:///a/x.jpg"),
        ("s3://b/a", "s3://c/x.jpg", "s3://c/x.jpg"),
    ],
)
def test_a_name_below_a_folder_leads_out_of_no_bucket(folder, name, address):
    assert joined(folder, name) == address
