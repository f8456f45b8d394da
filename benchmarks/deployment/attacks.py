"""What a client that means harm sends to a gateway, byte by byte, and what should become of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.deployment.servers import MASTER_KEY

CLOSED = 0
"""In place of a status: the connection is closed without an answer."""
UNREAD = (400, 408, CLOSED)
"""What is no request gets one of these."""
CONFIDED = "my-account-number-is-4711-0815"
"""In every question: it must not be told to anybody but the model."""
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
PATH = b"/v1/chat/completions"


@dataclass(frozen=True)
class Keys:
    """The keys of the gateway under attack."""

    good: str
    """For the task of requests that name none."""
    other: str
    """For another task."""
    revoked: str


@dataclass(frozen=True)
class Attack:
    """One connection of a client that means harm."""

    name: str
    pieces: tuple[bytes, ...]
    statuses: tuple[int, ...]
    """Any of these is right."""
    pause_s: float = 0.0
    """Between the pieces."""
    passes: bool = False
    """It is answered, and a model is asked: what harms in it must be left out."""
    counted: bool = True
    """The gateway must count it as refused."""


def question(**more: object) -> bytes:
    """The body of a chat completion."""
    return json.dumps({"model": "gpt-4", "messages": [{"role": "user", "content": CONFIDED}], **more}).encode()


def asked(
    body: bytes, *headers: bytes, key: str | None = None, path: bytes = PATH, length: bool = True, host: bytes = b"gateway"
) -> bytes:
    """A request for a chat completion; its connection is closed after it."""
    lines = [b"POST " + path + b" HTTP/1.1", b"host: " + host, b"content-type: application/json", *headers]
    lines += [b"content-length: %d" % len(body)] if length else []
    lines += [b"authorization: Bearer " + key.encode()] if key else []
    if not any(line.lower().startswith(b"connection:") for line in lines):
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def got(path: bytes, *headers: bytes, key: str | None = None) -> bytes:
    """A GET."""
    lines = [b"GET " + path + b" HTTP/1.1", b"host: gateway", b"connection: close", *headers]
    lines += [b"authorization: Bearer " + key.encode()] if key else []
    return b"\r\n".join(lines) + b"\r\n\r\n"


def attacks(keys: Keys, decoy: str, seconds: float) -> list[Attack]:
    """All of them.

    Args:
        keys: of the gateway.
        decoy: root URL of a server that nobody may be sent to.
        seconds: for how long a slow client goes on.
    """
    return [
        *_strangers(keys),
        *_large(keys, seconds),
        *_smuggled(keys),
        *_unreadable(keys),
        *_astray(keys, decoy),
        *_injected(keys),
    ]


def _strangers(keys: Keys) -> list[Attack]:
    body, half = question(), keys.good[:20]
    found = [
        ("no key", asked(body), 401),
        ("wrong key", asked(body, key="ck-0000000000000000-" + "a" * 40), 401),
        ("the id of a key with another secret", asked(body, key=half + "x" * (len(keys.good) - 20)), 401),
        ("a key without its last sign", asked(body, key=keys.good[:-1]), 401),
        ("a revoked key", asked(body, key=keys.revoked), 401),
        ("another task's key", asked(body, key=keys.other), 403),
        ("another task's key, the task in a query", asked(body, key=keys.other, path=PATH + b"?task=other"), 403),
        ("a task beyond the key", asked(body, b"x-continuum-task: support", key=keys.other), 403),
        ("the key in the query", asked(body, path=PATH + b"?api_key=" + keys.good.encode()), 401),
        ("the key as basic authorization", asked(body, b"authorization: Basic " + keys.good.encode()), 401),
        ("the provider's key", asked(body, key=MASTER_KEY), 401),
        ("an arm that the key may not name", asked(body, b"x-continuum-arm: canary", key=keys.good), 403),
        ("the models without a key", got(b"/v1/models"), 401),
        ("the metrics without a key", got(b"/metrics"), 401),
        ("feedback without a key", asked(b'{"interaction_id": "a", "score": 1}', path=b"/v1/feedback"), 401),
        ("embeddings without a key", asked(b'{"model": "e", "input": "a"}', path=b"/v1/embeddings"), 401),
    ]
    return [Attack(name, (sent,), (status,)) for name, sent, status in found]


def _large(keys: Keys, seconds: float) -> list[Attack]:
    mega = b"x" * 2**20
    trickled = int(seconds / 0.1)
    chunk = b"%x\r\n" % len(mega) + mega + b"\r\n"
    chunked = asked(b"", b"transfer-encoding: chunked", key=keys.good, length=False)
    head = asked(b"", b"content-length: 104857600", key=keys.good, length=False)
    many = tuple(b"x-%d: 1" % number for number in range(500))
    slow_body = asked(b"", b"content-length: 100000", key=keys.good, length=False)
    return [
        Attack("a body of 100 MB", (head, *[mega] * 100), (413, CLOSED)),
        Attack("a body of 100 MB without a key", (head.replace(keys.good.encode(), b"none"), *[mega] * 100), (401, 413, CLOSED)),
        Attack("a body of 100 MB in chunks", (chunked, *[chunk] * 100), (413, CLOSED)),
        Attack("a compressed body", (asked(b"\x1f\x8b\x08\x00", b"content-encoding: gzip", key=keys.good),), (415,)),
        Attack("a header of 100 KB", (asked(question(), b"x-long: " + b"a" * 100_000, key=keys.good),), UNREAD),
        Attack("500 headers", (asked(question(), *many, key=keys.good),), UNREAD),
        Attack("a request line of 100 KB", (got(b"/" + b"a" * 100_000),), UNREAD),
        Attack("a key of 100 KB", (asked(question(), key="ck-" + "a" * 100_000),), UNREAD),
        Attack("headers without end", (b"GET / HTTP/1.1\r\nhost: a\r\n", *[b"x: " + b"a" * 4000 + b"\r\n"] * 5000), UNREAD),
        Attack("a slow loris in the headers", (b"POST / HTTP/1.1\r\nhost: a\r\n", *[b"x-a: b\r\n"] * trickled), UNREAD, 0.1),
        Attack("a slow loris in the request line", tuple(bytes([sign]) for sign in (b"GET /" + b"a" * trickled)), UNREAD, 0.1),
        Attack("a slow loris in the body", (slow_body, *[b"x"] * trickled), (408, CLOSED), 0.1),
    ]


def _smuggled(keys: Keys) -> list[Attack]:
    host = b"POST " + PATH + b" HTTP/1.1\r\nhost: a\r\nauthorization: Bearer " + keys.good.encode() + b"\r\n"
    length, chunked = b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n"
    ambiguous: list[tuple[str, bytes]] = [
        ("a length and chunks", host + length + chunked + b"\r\n0\r\n\r\n"),
        ("chunks and a length", host + chunked + length + b"\r\n0\r\n\r\n"),
        ("two lengths", host + length + b"content-length: 6\r\n\r\nabcdef"),
        ("the same length twice", host + length + length + b"\r\nabcde"),
        ("a list of lengths", host + b"content-length: 5, 5\r\n\r\nabcde"),
        ("a length with a sign", host + b"content-length: +5\r\n\r\nabcde"),
        ("a negative length", host + b"content-length: -5\r\n\r\n"),
        ("a length in hexadecimal", host + b"content-length: 0x5\r\n\r\nabcde"),
        ("a length beyond 64 bits", host + b"content-length: 99999999999999999999\r\n\r\n"),
        ("chunks and something else", host + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ("nearly chunks", host + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ("chunks after a vertical tab", host + b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
        ("a blank before the colon", host + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n"),
        ("chunks named twice", host + chunked + b"transfer-encoding: identity\r\n\r\n0\r\n\r\n"),
        ("chunks in a folded line", host + b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
        ("chunks behind a bare LF", host + b"x: a\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("a chunk's size as 0x", host + chunked + b"\r\n0x3\r\nabc\r\n0\r\n\r\n"),
        ("a chunk's size with a sign", host + chunked + b"\r\n+3\r\nabc\r\n0\r\n\r\n"),
        ("a chunk's end as a bare LF", host + chunked + b"\r\n3\nabc\n0\n\n"),
        ("a chunk that is longer than it says", host + chunked + b"\r\n3\r\nabcdef\r\n0\r\n\r\n"),
        ("two hosts", b"GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
        ("no host", b"GET /healthz HTTP/1.1\r\n\r\n"),
        ("bare LFs", b"GET /healthz HTTP/1.1\nhost: a\n\n"),
        ("bare CRs", b"GET /healthz HTTP/1.1\rhost: a\r\r"),
        ("a blank in the target", b"GET /healthz /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("another version", b"GET /healthz HTTP/3.0\r\nhost: a\r\n\r\n"),
        ("HTTP/0.9", b"GET /healthz\r\n\r\n"),
        ("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("a switch to a websocket", b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
    ]
    found = [Attack(f"smuggling: {name}", (sent + SMUGGLED,), UNREAD) for name, sent in ambiguous]
    # Some clients offer to switch with each first request; it is theirs to be answered as if they had not.
    h2c = got(b"/healthz").replace(b"close", b"close, upgrade, http2-settings\r\nupgrade: h2c")
    found.append(Attack("smuggling: a switch to h2c", (h2c + SMUGGLED,), (200,), counted=False))
    # A hundred requests at once behind one that is answered: some may be, and then the connection is cut.
    return [*found, Attack("a hundred requests in one piece", (SMUGGLED.replace(b"smuggled", b"nowhere") * 100,), (404, CLOSED))]


def _unreadable(keys: Keys) -> list[Attack]:
    bodies: list[tuple[str, bytes]] = [
        ("deep JSON", b'{"model": "gpt-4", "messages": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
        ("deep objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        ("invalid UTF-8", b'{"model": "gpt-4", "messages": [{"role": "user", "content": "\xff\xfe\xc0\x80"}]}'),
        ("UTF-16", question().decode().encode("utf-16")),
        ("half of a JSON", question()[:-10]),
        ("two JSONs", question() + question()),
        ("not a number", b'{"model": "gpt-4", "messages": [], "temperature": NaN}'),
        ("a number of 100,000 digits", b'{"model": "gpt-4", "messages": [], "n": ' + b"9" * 100_000 + b"}"),
        ("a list", b"[]"),
        ("nothing", b""),
        ("messages that are none", b'{"model": "gpt-4", "messages": {"__class__": "x"}}'),
        ("a pickle", b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94."),
    ]
    found = [Attack(f"a body that is {name}", (asked(body, key=keys.good),), (400,)) for name, body in bodies]
    form = asked(question(), key=keys.good).replace(b"application/json", b"text/plain")
    return [*found, Attack("a body that a web page may send", (form,), (415,))]


def _astray(keys: Keys, decoy: str) -> list[Attack]:
    url = decoy.encode()
    body = question(model=f"{decoy}/v1", base_url=decoy, api_base=decoy, upstream=decoy, url=decoy)
    names = ("x-continuum-upstream", "x-upstream", "x-forwarded-host", "x-forwarded-server", "x-original-url", "x-rewrite-url")
    headers = [name.encode() + b": " + url for name in names]
    headers += [b"forwarded: host=" + url, b"x-continuum-deployment: " + url, b"x-http-method-override: CONNECT"]
    authority = url.removeprefix(b"http://")
    hops = (b"connection: close, authorization, x-continuum-task, content-type", b"te: trailers", b"keep-alive: 600")
    more = (b"proxy-authorization: Basic YTpi", b"cookie: session=1", b"x-api-key: sk-of-the-app", b"trailer: x-a")
    paths = (
        *(b"/v1/../../etc/passwd", b"/%2e%2e/%2e%2e/etc/passwd", b"/v1/chat/completions/../../../home", b"//healthz"),
        *(b"/v1\\..\\..\\etc", b"/v1/chat/completions%00", b"/static/../gateway/keys.json", b"/v1/%2fetc%2fpasswd", b"/.env"),
    )
    astray = [Attack(f"the path {path.decode()}", (got(path, key=keys.good),), (404, 400)) for path in paths]
    return [
        Attack("an upstream in the body", (asked(body, key=keys.good),), (200,), passes=True, counted=False),
        Attack("an upstream in the headers", (asked(question(), *headers, key=keys.good),), (200,), passes=True, counted=False),
        Attack(
            "an upstream in the query",
            (asked(question(), key=keys.good, path=PATH + b"?base_url=" + url + b"&api_base=" + url),),
            (200,),
            passes=True,
            counted=False,
        ),
        Attack("an upstream as host", (asked(question(), key=keys.good, host=authority),), (200,), passes=True, counted=False),
        Attack("an upstream as target", (asked(question(), key=keys.good, path=url + PATH),), (400, 404)),
        Attack("an upstream as target of a GET", (got(url + b"/metrics", key=keys.good),), (400, 404)),
        Attack("CONNECT", (b"CONNECT " + authority + b" HTTP/1.1\r\nhost: " + authority + b"\r\n\r\n",), (400, 404, 405, CLOSED)),
        Attack("TRACE", (got(PATH, key=keys.good).replace(b"GET", b"TRACE"),), (400, 404, 405)),
        Attack("DELETE", (got(PATH, key=keys.good).replace(b"GET", b"DELETE"),), (400, 404, 405)),
        Attack("hop-by-hop names", (asked(question(), *hops, *more, key=keys.good),), (200,), passes=True, counted=False),
        *astray,
    ]


def _injected(keys: Keys) -> list[Attack]:
    encoded = b"a%0d%0ax-injected:%20yes%0d%0a%0d%0ainjected"
    raw: Sequence[tuple[str, bytes]] = [
        ("a CR", b"x-request-id: a\rx-injected: yes"),
        ("an LF", b"x-request-id: a\nx-injected: yes"),
        ("a NUL", b"x-request-id: a\x00b"),
        ("a folded line", b"x-request-id: a\r\n x-injected: yes"),
        ("a name with a blank", b"x injected: yes"),
        ("no name", b": yes"),
        ("no colon", b"x-injected"),
    ]
    found = [Attack(f"a header with {name}", (asked(question(), line, key=keys.good),), UNREAD) for name, line in raw]
    names = (b"x-continuum-interaction-id", b"x-continuum-conversation-id", b"x-continuum-user-id", b"x-request-id")
    inside = [name + b": " + encoded for name in names]
    return [
        *found,
        Attack("CRLF encoded in ids", (asked(question(), *inside, key=keys.good),), (200,), passes=True, counted=False),
        Attack("CRLF encoded in a task", (asked(question(), b"x-continuum-task: " + encoded, key=keys.good),), (400, 403)),
        Attack("a task that is a path", (asked(question(), b"x-continuum-task: ../../etc/passwd", key=keys.good),), (400, 403)),
        Attack("CRLF in the target", (got(b"/healthz%0d%0ax-injected:%20yes", key=keys.good),), (400, 404)),
    ]
