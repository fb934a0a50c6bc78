"""Which answers are labelled, and in which order a person sees them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from runner_core.comparison.sampling import order, sample

ANSWERS = range(1, 301)
ids = st.sets(st.integers(1, 10**18), max_size=50).map(sorted)


def test_everybody_gets_the_same_answers_in_another_order() -> None:
    chosen = sample("job-1", ANSWERS, 60)
    assert (len(chosen), len(set(chosen))) == (60, 60)
    ann, bea = order("job-1", "ann", chosen), order("job-1", "bea", chosen)
    assert set(ann) == set(bea) == set(chosen)
    assert ann != bea
    assert ann != sorted(ann)


def test_a_larger_sample_has_the_smaller_one_in_it() -> None:
    assert sample("job-1", ANSWERS, 60)[:10] == sample("job-1", ANSWERS, 10)
    assert sorted(sample("job-1", ANSWERS, 1000)) == list(ANSWERS)


def test_another_job_draws_others() -> None:
    assert set(sample("job-1", ANSWERS, 60)) != set(sample("job-2", ANSWERS, 60))


@settings(derandomize=True, database=None)
@given(ids, st.randoms(use_true_random=False))
def test_neither_depends_on_the_order_of_the_answers(answers: list[int], dice: object) -> None:
    shuffled = answers[:]
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sample("j", shuffled, 10) == sample("j", answers, 10)
    assert order("j", "ann", shuffled) == order("j", "ann", answers)


@settings(derandomize=True, database=None)
@given(ids, st.data())
def test_disputed_answers_come_first_and_the_rest_of_the_order_stays(answers: list[int], data: st.DataObject) -> None:
    disputed = data.draw(st.sets(st.sampled_from(answers))) if answers else set()
    plain = order("j", "ann", answers)
    first = [answer for answer in plain if answer in disputed]
    assert order("j", "ann", answers, disputed) == first + [answer for answer in plain if answer not in disputed]
