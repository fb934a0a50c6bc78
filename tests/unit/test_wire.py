"""The wire's readers: the same messages and answers, however the bytes are cut into pieces."""

import struct
from collections.abc import Callable

import pytest

from bench.wire.http import HttpReader
from bench.wire.message import Reader
from bench.wire.postgres import PostgresReader
from bench.wire.resp import RedisReader


def of_type(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


STARTUP = struct.pack("!ii", 8, 196608)
OK, READY = of_type(b"R", struct.pack("!i", 0)), of_type(b"Z", b"I")
PARSE = of_type(b"P", b"s1\x00-- name: jobs.lock\nSELECT 1\x00\x00\x00")
BIND, SYNC = of_type(b"B", b"\x00s1\x00\x00\x00\x00\x00\x00\x00"), of_type(b"S", b"")
EXECUTE = of_type(b"E", b"\x00\x00\x00\x00\x00")
ERROR = of_type(b"E", b"SERROR\x00C40001\x00Mserialization\x00\x00")

EXCHANGES = [
    (
        PostgresReader,
        STARTUP + of_type(b"Q", b"BEGIN\x00") + PARSE + BIND + EXECUTE + SYNC + of_type(b"Q", b"COMMIT\x00"),
        [
            *("Startup", "Query BEGIN, jobs.lock", "Parse jobs.lock", "Bind jobs.lock", "Execute jobs.lock"),
            *("Sync jobs.lock", "Query COMMIT, jobs.lock"),
        ],
        OK + READY + of_type(b"C", b"BEGIN\x00") + READY + of_type(b"1", b"") + of_type(b"2", b"")
        + of_type(b"C", b"SELECT 1\x00") + READY + of_type(b"C", b"COMMIT\x00") + READY,
    ),
    (
        RedisReader,
        b"*2\r\n$4\r\nPING\r\n$5\r\nhello\r\n*1\r\n$4\r\nINFO\r\n",
        ["PING hello", "INFO"],
        b"*2\r\n+PONG\r\n$5\r\nhello\r\n$-1\r\n",
    ),
    (
        HttpReader,
        b"POST /v1 HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET /live HTTP/1.1\r\n\r\n",
        ["POST /v1", "GET /live"],
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyesHTTP/1.1 204 No Content\r\n\r\n",
    ),
]  # fmt: skip


def read(reader: Reader, sent: bytes, answered: bytes, size: int) -> tuple[list[str], int]:
    """What the reader makes of both directions when they come in pieces of that size."""
    said = [m.label for at in range(0, len(sent), size) for m in reader.sent(sent[at : at + size])]
    return said, sum(reader.answers(answered[at : at + size]) for at in range(0, len(answered), size))


@pytest.mark.parametrize(("made", "sent", "labels", "answered"), EXCHANGES)
def test_messages_and_answers_are_divided(
    made: Callable[[], Reader], sent: bytes, labels: list[str], answered: bytes
) -> None:
    assert read(made(), sent, answered, len(sent) + len(answered)) == (labels, len(labels))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(("made", "sent", "labels", "answered"), EXCHANGES)
def test_pieces_make_no_difference(
    made: Callable[[], Reader], sent: bytes, labels: list[str], answered: bytes, size: int
) -> None:
    """But for a BEGIN, which is named after what comes with it."""
    said, answers = read(made(), sent, answered, size)
    assert [label.partition(",")[0] for label in said] == [label.partition(",")[0] for label in labels]
    assert answers == len(labels)


def test_after_an_error_everything_until_sync_is_answered_with_it() -> None:
    reader = PostgresReader()
    assert (len(list(reader.sent(STARTUP))), reader.answers(OK + READY)) == (1, 1)
    assert len(list(reader.sent(PARSE + BIND + EXECUTE + SYNC))) == 4
    assert reader.answers(of_type(b"1", b"") + ERROR) == 1
    assert reader.answers(READY) == 3
