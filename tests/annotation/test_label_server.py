"""The label page's server: who may ask it, and what it answers."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from continuum.annotation.label_page.server import LabelPage, names_of
from continuum.annotation.labelling import Labelling
from continuum.errors import ConfigurationError
from continuum.store.database import Store
from tests.annotation.label_items import asked, judge
from tests.builders import interactions


async def answer(url: str, method: str = "GET", **options: Any) -> tuple[int, Any, Any]:
    async with aiohttp.ClientSession() as session, session.request(method, url, **options) as reply:
        body = await reply.read()
        return reply.status, json.loads(body) if reply.content_type == "application/json" else body, reply.headers


async def test_nothing_is_answered_without_the_secret(store: Store) -> None:
    (review,) = asked(store, interactions(1))
    async with LabelPage(Labelling(store, "support", labeller="ada"), port=0) as page:
        root = f"http://127.0.0.1:{page.port}"
        token = urlsplit(page.url).path.strip("/")
        assert len(token) >= 40
        wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
        for path in ("/", "/page.js", "/api/next", f"/{wrong}/", f"/{wrong}/api/next", f"/{token[:10]}/api/next", "/ü/api/next"):
            status, said, headers = await answer(root + path)
            assert (status, list(said)) == (403, ["error"]), path
            assert token not in str(said)
            assert "default-src 'none'" in headers["Content-Security-Policy"]
        reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
        writer.write(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 403")
        writer.close()
        await writer.wait_closed()
        vote = {"review": review.id, "score": 5}
        status, _, _ = await answer(f"{root}/{wrong}/api/vote", "POST", json=vote)
        assert status == 403
        assert (await answer(page.url))[0] == 200
    assert Labelling(store, "support", labeller="ada").progress().with_verdict == 0


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8793", "127.0.0.1.evil.example", "", "[", "localhost.evil"])
async def test_a_name_that_a_stranger_pointed_here_is_refused(store: Store, host: str) -> None:
    asked(store, interactions(1))
    async with LabelPage(Labelling(store, "support", labeller="ada"), port=0) as page:
        status, _, _ = await answer(f"{page.url}api/next", headers={"Host": host})
        assert status in (400, 403)
        for good in ("localhost", f"localhost:{page.port}", "127.0.0.1:9000", "[::1]:9000"):
            assert (await answer(f"{page.url}api/next", headers={"Host": good}))[0] == 200


async def test_another_site_may_not_post_even_with_the_secret(store: Store) -> None:
    (review,) = asked(store, interactions(1))
    async with LabelPage(Labelling(store, "support", labeller="ada"), port=0) as page:
        vote = json.dumps({"review": review.id, "score": 5})
        for headers in (
            {"Origin": "http://evil.example", "Content-Type": "application/json"},
            {"Origin": "null", "Content-Type": "application/json"},
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/x-www-form-urlencoded"},
        ):
            status, _, _ = await answer(f"{page.url}api/vote", "POST", data=vote, headers=headers)
            assert status in (400, 403)
        headers = {"Origin": f"http://127.0.0.1:{page.port}", "Content-Type": "application/json"}
        assert (await answer(f"{page.url}api/vote", "POST", data=vote, headers=headers))[0] == 200


async def test_every_answer_tells_the_browser_to_keep_to_itself(store: Store) -> None:
    asked(store, interactions(1))
    async with LabelPage(Labelling(store, "support", labeller="ada"), port=0) as page:
        for path in ("", "page.js", "drawing.js", "page.css", "api/next", "api/progress", "api/agreement", "nothing.js", "api/x"):
            status, _, headers = await answer(page.url + path)
            assert status == (404 if path in ("nothing.js", "api/x") else 200), path
            policy = headers["Content-Security-Policy"]
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cache-Control"] == "no-store"
            assert headers["X-Content-Type-Options"] == "nosniff"
        assert (await answer(page.url + "../server.py"))[0] == 403
        assert (await answer(page.url + "server.py"))[0] == 404


def test_a_page_may_be_asked_for_by_the_name_it_listens_on() -> None:
    assert "label.example" in names_of("label.example")


async def test_a_port_that_is_taken_is_told(store: Store) -> None:
    store.tasks.ensure("support")
    labelling = Labelling(store, "support", labeller="ada")
    async with LabelPage(labelling, port=0) as page:
        with pytest.raises(ConfigurationError, match="choose another --port"):
            async with LabelPage(labelling, port=page.port):
                pass


async def test_the_judges_word_is_in_no_answer_before_the_vote(store: Store) -> None:
    rows = interactions(2)
    first, second = asked(store, rows)
    judge(store, rows)
    async with LabelPage(Labelling(store, "support", labeller="ada"), port=0) as page:
        api = f"{page.url}api/"
        before = [await answer(api + path) for path in ("next", "next?queue=audit", "progress")]
        before.append(await answer(api + "pass", "POST", json={"review": second.id}))
        assert not any("Monday without" in str(said) or "because" in str(said) for _, said, _ in before)

        _, said, _ = await answer(
            api + "vote", "POST", json={"review": first.id, "score": 2, "comment": "no", "correction": "Yes."}
        )

        assert said["voted"]["opinion"]["scores"] == [["accuracy", 2.0, "Says Monday without knowing it."]]
        assert said["voted"]["reason"] == "because"
        assert said["queues"]["audit"]["verdicts"] == {"ada": 1}
        _, said, _ = await answer(api + "undo", "POST", json={"review": first.id})
        assert said["question"]["review_id"] == first.id
        assert said["before"] == {"comment": "no", "correction": "Yes."}


async def test_what_cannot_be_done_is_refused_with_a_reason(store: Store) -> None:
    (review,) = asked(store, interactions(1))
    async with LabelPage(Labelling(store, "support", labeller="ada"), port=0) as page:
        vote = f"{page.url}api/vote"
        for body, status, words in (
            ({"review": review.id, "score": 9}, 400, "score is 9"),
            ({"review": review.id}, 400, "needs a score"),
            ({"review": "other", "score": 4}, 400, "no item"),
            ({"review": 7, "score": 4}, 400, "review is 7"),
            ({"review": review.id, "score": 4, "labeller": "ben"}, 400, "JSON object"),
            ({"review": review.id, "score": 4, "queue": "x"}, 400, "no queue"),
            ([1], 400, "JSON object"),
            ({"review": review.id, "score": 4}, 200, None),
            ({"review": review.id, "score": 4}, 200, None),
            ({"review": review.id, "score": 1}, 409, "another window"),
        ):
            found, said, _ = await answer(vote, "POST", json=body)
            assert found == status, said
            assert words is None or words in said["error"]
        for raw, status in ((b"{", 400), (b"[" * 100_000, 400), (b'"' + b"x" * 2**21 + b'"', 413)):
            headers = {"Content-Type": "application/json"}
            assert (await answer(vote, "POST", data=io.BytesIO(raw), headers=headers))[0] == status


async def test_a_store_that_fails_is_told_without_what_it_holds(store: Store, home: Path) -> None:
    (review,) = asked(store, interactions(1))
    async with LabelPage(Labelling(store, "support", labeller="ada"), port=0) as page:
        with store.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE feedback RENAME TO away")
        status, said, _ = await answer(
            f"{page.url}api/vote", "POST", json={"review": review.id, "score": 4, "comment": "private"}
        )
        assert (status, "private" in said["error"]) == (503, False)
        with store.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO feedback")
        assert (await answer(f"{page.url}api/vote", "POST", json={"review": review.id, "score": 4}))[0] == 200
