"""The sandbox's varying answers: drawn by the seed, alike in every region, and shifted where that is asked for."""

from collections import Counter

from runner_worker.providers.simulated import WORDS, drawn_text, uniform, word_chances


def test_the_generator_is_splitmix64() -> None:
    """The first two numbers of the reference implementation with seed 0."""
    assert [uniform(0, i) for i in (0, 1)] == [(n >> 11) / 2**53 for n in (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4)]


def test_the_same_seed_draws_the_same_words() -> None:
    texts = {drawn_text("m", "q", seed, 0.5, 0) for seed in range(50)}
    assert len(texts) == 50
    assert drawn_text("m", "q", 7, 0.5, 0) == drawn_text("m", "q", 7, 0.5, 0)
    assert all(set(text.split()) <= set(WORDS) for text in texts)


def test_without_a_seed_each_text_is_another_one() -> None:
    assert len({drawn_text("m", "q", None, 0.5, 0) for _ in range(20)}) == 20


def test_vary_mixes_the_chances_with_the_nearer_end_or_with_a_half() -> None:
    never, little, usual, much, most = (word_chances("m", "q", vary, 0) for vary in (0.0, 0.25, 0.5, 0.75, 1.0))
    assert set(never) == {0, 1}
    assert set(most) == {0.5}
    for end, low, chance, high in zip(never, little, usual, much, strict=True):
        assert abs(end - chance) <= 0.5
        assert abs(low - (end + chance) / 2) < 1e-12
        assert abs(high - (0.5 + chance) / 2) < 1e-12
    assert min(usual) < 0.1
    assert max(usual) > 0.9
    assert 0.4 < sum(usual) / len(usual) < 0.6
    assert usual != word_chances("m", "other", 0.5, 0)


def test_without_variation_each_text_is_the_same() -> None:
    assert len({drawn_text("m", "q", seed, 0, 0) for seed in range(20)}) == 1


def test_shift_gives_that_share_of_the_words_other_chances() -> None:
    usual, shifted, other = (word_chances("m", "q", 0.5, shift) for shift in (0.0, 0.2, 1.0))
    assert sum(a != b for a, b in zip(usual, shifted, strict=True)) == 12
    assert sum(a != b for a, b in zip(usual, other, strict=True)) == 60


def test_words_are_drawn_by_their_chances() -> None:
    chances = word_chances("m", "q", 0.5, 0)
    drawn = Counter(word for seed in range(2000) for word in drawn_text("m", "q", seed * 7919, 0.5, 0).split())
    for word, chance in zip(WORDS, chances, strict=True):
        assert abs(drawn[word] / 2000 - chance) < 0.06, word
