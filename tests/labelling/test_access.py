"""Nobody but the person's own page: tokens, hosts, origins and paths that are refused."""

import pytest

from tests.labelling.served import segment, serving

READS = ("/", "/api/project", "/api/videos/1", "/media/1", "/api/events", "/assets/label_page.js")
POSTS = ("/api/videos/1", "/api/classes")


@pytest.fixture(scope="module")
def running(footage, tmp_path_factory):
    """A server whose requests are all refused, so one serves all tests."""
    with serving(footage, "--labels", tmp_path_factory.mktemp("labels") / "labels.csv") as served:
        yield served


def refused(answer) -> bool:
    return answer.status == 403 and set(answer.json) == {"error"}


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(
    "cookie",
    [
        "", "none", "{name}=", "{name}={short}", "{name}={token}x", "{name}=\xff\xfe",
        "{name}={upper}", "other={token}", "{name}=x; {name}=y", "=" * 3000,
        "{name}=\"{short}\"",
    ],
)  # fmt: skip
def test_without_the_token_nothing_is_told(running, path, cookie):
    name, token = running.cookie.split("=", 1)
    text = cookie.format(name=name, token=token, short=token[:-1], upper=token.swapcase())
    assert refused(running.ask(path, headers={"Cookie": text} if text else {}))


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1",
        "127.0.0.1:{port}.evil.example", "127.0.0.1.evil.example:{port}", "[::1]:{port}",
        "0.0.0.0:{port}", "localhost", "", "LOCALHOST:{port}", "user@127.0.0.1:{port}",
        "127.0.0.1:{port}/", "2130706433:{port}",
    ],
)  # fmt: skip
def test_another_name_of_the_host_is_refused(running, path, host):
    assert refused(running.get(path, Host=host.format(port=running.port)))


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "origin",
    [None, "null", "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1",
     "http://127.0.0.1:1", "http://localhost:{port}", "http://127.0.0.1:{port}/",
     "http://127.0.0.1:{port}.evil.example", "HTTP://127.0.0.1:{port}", "file://", ""],
)  # fmt: skip
def test_another_page_changes_nothing(running, path, origin):
    headers = {"Cookie": running.cookie, "Content-Type": "application/json"}
    if origin is not None:
        headers["Origin"] = origin.format(port=running.port)
    assert refused(running.ask(path, "POST", headers, b"{}"))


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_embeds_nothing(running, path, site):
    assert refused(running.get(path, **{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}))
    assert refused(running.get(path, Origin="http://evil.example"))


@pytest.mark.parametrize("token", ["", "x", "\xff", "%00", "a" * 5000, "&token=x", "' or 1=1 --"])
def test_a_wrong_token_in_the_address_is_refused(running, token):
    answer = running.ask(f"/?token={token.encode('latin-1').hex()}")
    assert refused(answer)
    assert answer.headers["set-cookie"] is None


def test_the_address_gives_the_cookie_and_hides_the_token(running):
    answer = running.ask(f"/?token={running.token}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(running.cookie)
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert running.ask("/", headers={"Cookie": cookie.partition(";")[0]}).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/media/one.mp4", "/media/../labels.csv", "/media/%2e%2e%2flabels.csv", "/media/-1",
        "/media/1/", "/media/1.5", "/media/1%00", "/media//etc/passwd",
        "/media/%2fetc%2fpasswd", "/media/1;2", "/media/", "/assets/../label_server.py",
        "/assets/%2e%2e/labelling/access.py", "/assets/", "/assets/base.html",
        "/assets/..%5crender.py", "/assets/%2fetc%2fpasswd", "/assets/label_page.js%00",
        "/assets/label_page.js/", "/api/videos/one", "/api/videos/../project/x", "/api",
        "/etc/passwd", "//etc/passwd", "/.lock",
    ],
)  # fmt: skip
def test_no_path_leads_to_a_file(running, path):
    answer = running.get(path)
    assert answer.status == 404 or (answer.status == 307 and path.endswith("/"))
    assert b"root:" not in answer.body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"])
def test_other_methods_are_refused(running, method):
    headers = {"Cookie": running.cookie, "Origin": running.origin}
    for path in ("/", *POSTS):
        assert running.ask(path, method, headers).status in (400, 403, 404, 405)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", b"{}"),
        ("application/x-www-form-urlencoded", b"{}"),
        ("", b"{}"),
        ("application/json", b""),
        ("application/json", b"{"),
        ("application/json", b"\xff"),
        ("application/json", b"[" * 100_000),
        ("application/json", b'{"put": NaN}'),
        ("application/json", b'{"put": [{"id": "a", "label": "x", "start": 0, "end": 1e999}]}'),
        ("application/json", b'{"version": 1e400}'),
        ("application/json", b'{"version": "0"}'),
        ("application/json", b'{"put": [{"id": "a", "label": "\\ud800", "start": 0, "end": 1}]}'),
    ],
)
def test_what_is_not_a_change_is_refused(running, kind, body):
    headers = {"Cookie": running.cookie, "Origin": running.origin, "Content-Type": kind}
    answer = running.ask("/api/videos/1", "POST", headers, body)
    assert answer.status == 400
    assert len(answer.json["error"].splitlines()) == 1


@pytest.mark.parametrize("path", ["/", "/api/project", "/media/1", "/nowhere"])
def test_no_answer_lets_other_pages_in(running, path):
    headers = running.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "script-src" not in policy  # scripts are files of the server
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["access-control-allow-origin"] is None
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["server"] is None


@pytest.mark.parametrize(
    "label",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "=cmd|' '!A0",
        '"; drop',
        "\N{RIGHT-TO-LEFT OVERRIDE}a",
    ],
)
def test_a_hostile_label_is_text_or_refused(footage, tmp_path, label):
    with serving(footage, "--labels", tmp_path / "labels.csv") as served:
        post = {"version": 0, "put": [segment("a", 0, 1, label)]}
        answer = served.post("/api/videos/1", post)
        if "/" in label or not label.isprintable():
            assert answer.status == 400
            return
        assert answer.status == 200
        assert served.get("/api/project").json["classes"][0]["name"] == label
        assert served.get("/api/project").headers["content-type"] == "application/json"
        served.stop()
    with serving(footage, "--labels", tmp_path / "labels.csv") as again:
        assert again.video()["segments"][0]["label"] == label
