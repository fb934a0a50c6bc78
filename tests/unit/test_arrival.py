"""What the main loop takes for a whole request, gunicorn's parser must read to its end, or refuse, without more bytes:
else a thread would wait for a client. Requests are cut at every place, and changed at random.
"""

import random

import pytest
from gunicorn.config import Config
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.http.parser import RequestParser

from runner_api.server.arrival import BODY_LIMIT, CHUNKED_LIMIT, HEAD_LIMIT, Arrival, TooLarge

CONFIG = Config()
LINE_LIMIT = CONFIG.limit_request_line
POST = b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\n"
REQUESTS = (
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\r\nGET / HTTP/1.0\r\n\r\n",
    POST + b"content-length:\t5 \r\n\r\nhello",
    POST + b"Expect: 100-Continue\r\nContent-Length: 5\r\n\r\nhello",
    POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    POST + b"transfer-encoding: gzip, Chunked\r\n\r\n5;a=b\r\nhello\r\nA\r\n0\r\n\r\n56789\r\n00\r\nX: y\r\n\r\n",
)
BYTES = b"\r\n\r\n :;,0159aFgxX\x00\xff-"


def end(request: bytes) -> int:
    """After how many of its bytes, one by one, a request is whole; 0: it is not."""
    arrival = Arrival()
    for place in range(len(request)):
        if arrival.add(request[place : place + 1], LINE_LIMIT):
            return place + 1
    return 0


def is_read(data: bytes) -> bool:
    """Whether the parser needs no more than `data`; what it refuses it needs no more of."""
    try:
        next(RequestParser(CONFIG, iter([data]), ("127.0.0.1", 1))).body.read()
    except NoMoreData:
        return False
    except ParseException as error:
        # The parser's words for trailers that end too early.
        return str(error) != "Invalid chunk terminator is not '\\r\\n': b''"
    return True


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_is_whole_with_its_last_byte(request_: bytes) -> None:
    assert end(request_) == len(request_)
    assert Arrival().add(request_ + b"GET / HT", LINE_LIMIT)


def test_the_parser_never_waits_for_more_of_a_whole_request() -> None:
    dice = random.Random(20261126)  # noqa: S311 - a seed, so that a failure comes again
    wholes = 0
    for _ in range(20_000):
        request = bytearray(dice.choice(REQUESTS))
        for _ in range(dice.randint(1, 3)):
            place = dice.randrange(len(request))
            request[place : place + dice.randint(0, 2)] = dice.choices(BYTES, k=dice.randint(0, 2))
        arrival, cut = Arrival(), dice.randrange(len(request) + 1)
        try:
            whole = arrival.add(bytes(request[:cut]), LINE_LIMIT) or arrival.add(bytes(request[cut:]), LINE_LIMIT)
        except TooLarge:
            continue
        if whole:
            wholes += 1
            assert is_read(bytes(arrival.data)), bytes(request)
    assert wholes > 10_000


def test_a_client_is_asked_for_its_body_only_when_it_waits_for_that() -> None:
    waiting = POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    for sent, asks in ((waiting, True), (waiting + b"h", True), (waiting.replace(b"1.1", b"1.0"), False)):
        arrival = Arrival()
        assert not arrival.add(sent, LINE_LIMIT)
        assert arrival.asks == asks
    arrival = Arrival()
    assert arrival.add(waiting + b"hello", LINE_LIMIT)
    assert not arrival.asks


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (HEAD_LIMIT // 6), 431),
        (POST + b"Content-Length: %d\r\n\r\n" % (BODY_LIMIT + 1), 413),
        (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % CHUNKED_LIMIT, 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 5000 + b"\r\n", 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1;a=b\r\nx\r\n" * (CHUNKED_LIMIT // 9), 413),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * (CHUNKED_LIMIT // 5), 413),
    ],
)
def test_what_is_too_large_is_refused_before_it_is_whole(sent: bytes, status: int) -> None:
    with pytest.raises(TooLarge) as caught:
        Arrival().add(sent, LINE_LIMIT)
    assert caught.value.status == status


def test_the_largest_that_are_taken() -> None:
    assert Arrival().add(POST + b"Content-Length: %d\r\n\r\n" % BODY_LIMIT + b"x" * BODY_LIMIT, LINE_LIMIT)
    assert not Arrival().add(b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 9000, LINE_LIMIT)
