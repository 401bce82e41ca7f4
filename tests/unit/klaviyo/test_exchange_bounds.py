"""Answers that never end: dripping, silent, endless in bytes or pages, without data. Each exchange has a bound."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import orjson
import pytest

from etl.errors import RequestRefusedError, UnavailableError
from etl.klaviyo import LONGEST_EXCHANGE, Backoff, KlaviyoClient, ReplyKind
from tests.support.cli_process import PATIENCE
from tests.support.http_stub import KEY, HttpStub, ok
from tests.support.state_backends import FakeClock

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/vnd.api+json\r\n"


class Peer:
    """Answers every connection with the same bytes, then neither sends nor closes until the test is over."""

    def __init__(self, *pieces: bytes, drip: bytes = b"") -> None:
        self._pieces = pieces
        self._drip = drip
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._answer, args=(connection,)))
            self._threads[-1].start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65_536)
                for piece in self._pieces:
                    connection.sendall(piece)
                while self._drip and not self._over.wait(0.01):
                    connection.sendall(self._drip)
            except OSError:
                return
            self._over.wait()

    def close(self) -> None:
        self._over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)


class HastyClock(FakeClock):
    """Every look at it finds some seconds gone."""

    def __init__(self, seconds: float = 60.0) -> None:
        super().__init__()
        self._seconds = seconds

    def monotonic(self) -> float:
        self.time += self._seconds
        return self.time


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    opened: list[Peer] = []
    yield opened
    for peer in opened:
        peer.close()


DRIPPING = {
    "nothing at all": ((), b""),
    "no end of the headers": ((HEAD,), b"x-filler: 1\r\n"),
    "no end of the body": ((HEAD, b"content-length: 1000000\r\n\r\n"), b" "),
    "no end of the chunks": ((HEAD, b"transfer-encoding: chunked\r\n\r\n"), b"1\r\n \r\n"),
    "silence in the middle": ((HEAD, b"content-length: 1000\r\n\r\n{"), b""),
}


@pytest.mark.parametrize(("pieces", "drip"), DRIPPING.values(), ids=DRIPPING)
def test_an_answer_that_never_ends_is_given_up(pieces: tuple[bytes, ...], drip: bytes, peers: list[Peer]) -> None:
    peers.append(peer := Peer(*pieces, drip=drip))
    with KlaviyoClient(key=KEY, revision="2026-10-15", base_url=peer.url, clock=HastyClock()) as client:
        reply = client.submit_import_job(b"{}")
    assert (reply.kind, reply.note) == (ReplyKind.IN_DOUBT, "no complete answer in time")


@pytest.mark.parametrize(("pieces", "drip"), DRIPPING.values(), ids=DRIPPING)
def test_a_signal_does_not_wait_for_it(pieces: tuple[bytes, ...], drip: bytes, peers: list[Peer]) -> None:
    """Five seconds of grace for what is in hand, and no more."""
    peers.append(peer := Peer(*pieces, drip=drip))
    clock = HastyClock(1.0)
    before = clock.time
    with KlaviyoClient(
        key=KEY, revision="2026-10-15", base_url=peer.url, clock=clock, should_stop=lambda: clock.time > before + 10
    ) as client:
        reply = client.submit_import_job(b"{}")
    assert reply.kind is ReplyKind.IN_DOUBT
    assert clock.time - before < LONGEST_EXCHANGE / 4


def test_after_an_exchange_that_was_given_up_the_next_one_works(peers: list[Peer]) -> None:
    document = b'{"data":{"type":"list","id":"L1","attributes":{"name":"News"}}}'
    peers.append(silent := Peer(HEAD))
    with KlaviyoClient(key=KEY, revision="2026-10-15", base_url=silent.url, clock=HastyClock()) as client:
        assert client.submit_import_job(b"{}").kind is ReplyKind.IN_DOUBT
        silent._pieces = (HEAD, b"content-length: %d\r\n\r\n" % len(document), document)
        client._transport._clock = FakeClock()
        client._transport._bounded._clock = FakeClock()
        found = client.get_list("L1")
    assert found is not None
    assert found.name == "News"


BOMBS = {
    "plain": ({}, b" " * 70_000_000),
    "gzip": ({"content-encoding": "gzip"}, gzip.compress(b" " * 200_000_000, 1)),
    "gzip twice": ({"content-encoding": "gzip, gzip"}, gzip.compress(gzip.compress(b" " * 1_000_000))),
    "an encoding nobody asked for": ({"content-encoding": "zstd"}, b"(\xb5/\xfd"),
}


@pytest.mark.parametrize(("headers", "content"), BOMBS.values(), ids=BOMBS)
def test_an_answer_too_large_is_not_unpacked(headers: dict[str, str], content: bytes) -> None:
    def pieces() -> Iterator[bytes]:
        for start in range(0, len(content), 65_536):
            yield content[start : start + 65_536]

    wire = HttpStub(httpx.Response(200, headers=headers, stream=_Stream(pieces())))
    with wire.client() as client:
        reply = client.submit_import_job(b"{}")
    assert (reply.kind, reply.note) == (ReplyKind.MALFORMED, "the answer is too large")


class _Stream(httpx.SyncByteStream):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces


NO_DATA = {
    "nothing": {},
    "null": {"data": None},
    "one instead of many": {"data": {"type": "profile", "id": "A"}},
    "a list of other things": {"data": ["A"]},
    "errors in a good answer": {"errors": []},
}


@pytest.mark.parametrize("document", NO_DATA.values(), ids=NO_DATA)
def test_an_answer_without_data_proves_nothing(document: dict[str, object]) -> None:
    """Taken for an empty page, it would make every row that was sent missing."""
    broken = [httpx.Response(200, content=orjson.dumps(document)) for _ in range(4)]
    with HttpStub(*broken).client() as client, pytest.raises(UnavailableError):
        list(client.profiles_by("id", ["A"]))
    with HttpStub(broken[0], ok([{"id": "A"}])).client() as client:
        assert [found.id for found in client.profiles_by("id", ["A"])] == ["A"]


PAGES = {
    "it names itself": lambda _n: ([{"id": "A"}], "same"),
    "two name each other": lambda n: ([{"id": f"{n % 2}"}], f"{n % 2}"),
    "three in a ring": lambda n: ([{"id": f"{n % 3}"}], f"{n % 3}"),
    "new links, the same people": lambda n: ([{"id": "A"}, {"id": "B"}], f"{n}"),
    "new links, nobody": lambda n: ([], f"{n}"),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_pages_that_never_end_are_left(page: Callable[[int], tuple[list[dict[str, str]], str]]) -> None:
    count = iter(range(10_000))

    def answer(_request: httpx.Request) -> httpx.Response:
        items, cursor = page(next(count))
        return ok(items, following=f"https://a.klaviyo.com/api/profiles?page[cursor]={cursor}")

    wire = HttpStub(default=answer)
    with wire.client(backoff=Backoff(attempts=1)) as client, pytest.raises(RequestRefusedError) as caught:
        list(client.profiles_by("id", ["A"]))
    assert caught.value.code == "page-repeats"
    assert len(wire.requests) < 30
