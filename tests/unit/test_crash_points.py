"""The crash points' own rules: what a verb cuts of an exchange, which statements must be cut, what a share has."""

from pathlib import Path

import pytest

from bench.crash import command, coverage, report, verbs
from bench.crash.point import WAYS, Passed, Point
from bench.crash.points import Cut, Learned, Result
from bench.crash.verb import CONNECTING, Verb, nothing, statements_of

TRANSACTION = ["Parse BEGIN, jobs.lock", "Execute jobs.lock", "Execute jobs.close", "Flush", "Sync COMMIT, jobs.close"]


def exchange(*labels: str, nth: int = 1) -> list[Passed]:
    return [Passed(Point(label, nth), 1, place) for place, label in enumerate(labels)]


def verb(*anchors: str, **more: object) -> Verb:
    return Verb("a verb", nothing, nothing, lambda lane, story: True, anchors, **more)  # type: ignore[arg-type]


def cut_of(owner: Verb, *labels: str, protocol: str = "postgres", nth: int = 1) -> list[str]:
    return [passed.point.label for passed in owner.own(protocol, exchange(*labels, nth=nth))]


def test_an_exchange_that_contains_an_anchor_is_cut_at_each_message_but_those_that_carry_nothing() -> None:
    assert cut_of(verb("jobs.close"), *TRANSACTION) == [label for label in TRANSACTION if label != "Flush"]
    assert cut_of(verb("sweep."), *TRANSACTION) == []
    assert cut_of(verb("jobs."), *TRANSACTION) == cut_of(verb("jobs.close"), *TRANSACTION)


def test_what_another_verb_cuts_is_left_to_it() -> None:
    assert (
        cut_of(verb("jobs.close", elsewhere=("BEGIN", "jobs.lock")), *TRANSACTION) == TRANSACTION[2:3] + TRANSACTION[4:]
    )
    assert cut_of(verb("jobs.lock", without=("jobs.close",)), *TRANSACTION) == []


def test_a_new_statement_of_a_transaction_is_cut_without_anybody_naming_it() -> None:
    assert "Execute jobs.brand_new" in cut_of(verb("jobs.close"), *TRANSACTION, "Execute jobs.brand_new")


def test_repeated_grants_are_cut_once_and_migrations_each_time() -> None:
    migrating = verb("migrations.", repeats=("--",))
    labels = ("Query migrations.lock", "Query GRANT", "Query --")
    assert cut_of(migrating, *labels) == list(labels)
    assert cut_of(migrating, *labels, nth=2) == ["Query --"]


def test_a_connection_is_an_exchange_of_its_own() -> None:
    assert CONNECTING in statements_of(exchange("Startup", "Password"))
    assert cut_of(verb(CONNECTING), "Startup", "Password") == ["Startup", "Password"]


def test_commands_and_requests_belong_to_who_names_their_beginning() -> None:
    worker = verb(redis=("UNLINK",), provider=("POST /US",))
    assert cut_of(worker, "UNLINK rq:job:*", "BLMOVE rq:queue:x", protocol="redis") == ["UNLINK rq:job:*"]
    assert cut_of(worker, "UNLINK rq:job:*", protocol="redis", nth=2) == []
    assert cut_of(worker, "POST /US/v1", "POST /EU/v1", protocol="provider", nth=2) == ["POST /US/v1"]


def test_every_statement_that_writes_or_locks_belongs_to_a_verb_or_has_its_reason() -> None:
    """Whether a verb does send it, only a run can say: it fails by `NO POINT REACHES`."""
    anchors = {anchor for one in verbs.VERBS for anchor in (*one.anchors, *one.elsewhere)}
    known = coverage.statements()
    assert set(coverage.EXCEPTIONS) <= set(known), "an exception names a statement that is no more"
    assert all(reason.strip() for reason in coverage.EXCEPTIONS.values())
    named = {anchor for anchor in anchors if "." in anchor and not anchor.endswith(".")}
    assert named <= set(known), "a verb names a statement that is no more"


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("SELECT 1 FROM jobs", False),
        ("SELECT 1 FROM jobs FOR NO KEY UPDATE", True),
        ("WITH x AS (INSERT INTO jobs SELECT 1) SELECT 1", True),
        ("SELECT close_jobs(%(ids)s)", True),
        ("-- an UPDATE of jobs is elsewhere\nSELECT 1", False),
        ("SELECT pg_try_advisory_xact_lock(1, 2)", True),
    ],
)
def test_what_writes_or_locks_is_read_from_the_text(text: str, changes: bool) -> None:
    assert coverage.changes(text) is changes


def test_a_statement_that_no_verb_reaches_fails_the_run() -> None:
    required = coverage.required()
    assert {"jobs.submit", "outbox.claim", "executions.record", "retention.jobs"} <= required
    assert not required & set(coverage.EXCEPTIONS)
    assert "jobs.state" in coverage.required(["jobs.state"]), "what ran in a verb's transaction is required too"
    found = command.unreached([Learned("a verb", reached=required - {"outbox.mark"})])
    assert len(found) == 1
    assert "outbox.mark" in found[0]


def points(count: int) -> list[Cut]:
    return [
        Cut(name, "postgres", Point("Sync", nth), 0, way)
        for name in ("one", "another") for nth in range(count) for way in WAYS
    ]  # fmt: skip


def test_a_share_has_each_verb_and_way_and_follows_from_its_seed() -> None:
    cuts = points(20)
    share = command.chosen(cuts, 0.1, seed=7)
    assert {(cut.verb, cut.way) for cut in share} == {(cut.verb, cut.way) for cut in cuts}
    assert len(share) == 20
    assert share == command.chosen(cuts, 0.1, seed=7) != command.chosen(cuts, 0.1, seed=8)
    assert sorted(map(str, command.chosen(cuts, 1, seed=7))) == sorted(map(str, cuts))


def test_the_page_keeps_what_others_wrote_and_its_table_comes_from_the_results(tmp_path: Path) -> None:
    page = tmp_path / "crash-points.md"
    page.write_text(f"# Crash points\n\nBefore.\n\n{report.BEGIN}\nyesterday\n{report.END}\n\nAfter.\n")
    cuts = points(2)
    learned = [Learned("one", cuts[:10], {"jobs.submit"}), Learned("another", cuts[10:])]
    report.write(page, learned, [Result(cut) for cut in cuts], [], seconds=60, commit="abc", lanes=2)
    text = page.read_text()
    assert "Before." in text
    assert text.endswith("After.\n")
    assert "yesterday" not in text
    assert "| one | 2 | 5 | 10 | 10 | 0 |" in text
    assert text.count(report.BEGIN) == text.count(report.END) == 1
