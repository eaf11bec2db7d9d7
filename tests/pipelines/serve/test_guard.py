"""Who may ask, by which name and from which site, and how a browser and a program are told."""

import io

import pytest
from PIL import Image

from captioner.errors import UsageError

FRIEND = {"origin": "https://friend.example"}


def photo():
    file = io.BytesIO()
    Image.new("RGB", (96, 80), "teal").save(file, "png")
    return [("file", ("a.png", file.getvalue()))]


def test_what_can_be_got_has_a_head_too(client):
    for path in ("/", "/page.js", "/docs", "/healthz", "/metrics", "/v1/models", "/openapi.json"):
        head, whole = client.head(path), client.get(path)
        assert head.status_code == whole.status_code == 200
        assert head.headers["content-type"] == whole.headers["content-type"]
    assert client.head("/v1/caption").status_code == 405
    assert client.head("/nothing").status_code == 404


def test_pages_of_a_site_that_is_named_can_read_every_answer_errors_too(make_client, fill_queue):
    client = make_client(cors=[FRIEND["origin"]], token="correct-horse", loopback=False, max_mb=1, queue=1)
    asking = {**FRIEND, "access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    preflight = client.options("/v1/caption", headers=asking)
    assert preflight.status_code == 204
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    known = {**FRIEND, "authorization": "Bearer correct-horse"}
    answers = {
        401: client.post("/v1/caption", files=photo(), headers=FRIEND),
        413: client.post("/v1/caption", content=bytes(1_200_000), headers=known),
        422: client.post("/v1/caption", files=[("file", ("a.png", b"none"))], headers=known),
        200: client.post("/v1/caption", files=photo(), headers=known),
        404: client.get("/nothing", headers=known),
    }
    empty = fill_queue(client)
    answers[503] = client.post("/v1/caption", files=photo(), headers=known)
    empty()
    for status, answer in answers.items():
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == FRIEND["origin"]
        assert "Origin" in answer.headers["vary"]
    assert "Retry-After" in answers[503].headers["access-control-expose-headers"]
    others = client.options("/v1/caption", headers={**asking, "origin": "https://evil.example"})
    assert others.status_code == 403
    assert "access-control-allow-origin" not in others.headers
    # what a preflight is, and not a header of it, makes the difference
    assert client.post("/v1/caption", files=photo(), headers=asking).status_code == 401


def test_the_scheme_of_a_token_has_no_case_and_the_token_has(make_client):
    client = make_client(token="correct-horse", loopback=False)
    described = client.get("/openapi.json").json()
    assert described["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}
    assert described["security"] == [{"token": []}]
    assert described["paths"]["/healthz"]["get"]["security"] == []
    for given, status in (
        ("bearer correct-horse", 200),
        ("BEARER  correct-horse", 200),
        ("Bearer Correct-Horse", 401),
        ("Basic correct-horse", 401),
        ("correct-horse", 401),
        ("Bearer", 401),
    ):
        assert client.get("/v1/models", headers={"authorization": given}).status_code == status, given


def test_a_server_is_called_by_the_loopback_address_that_it_was_given(make_client):
    client = make_client(host="127.0.0.2")
    for host, status in (("127.0.0.2:8000", 200), ("localhost", 200), ("[::1]:8000", 200), ("127.0.0.3", 421)):
        assert client.get("/healthz", headers={"host": host}).status_code == status, host


@pytest.mark.parametrize("origin", ["*", "null", "friend.example", "https://friend.example/", "https://Friend.example"])
def test_sites_are_named_as_browsers_name_them(origin):
    from captioner.pipelines.serve.options import ServeOptions

    with pytest.raises(UsageError, match=r"--cors .*: give a site in lower case"):
        ServeOptions(cors=[origin])
