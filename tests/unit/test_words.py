"""How the portal's pages write numbers and docstrings."""

from runner_api.portal.words import counted, ticked


def test_one_is_not_plural() -> None:
    assert [counted(n, "call") for n in (0, 1, 1200)] == ["0 calls", "1 call", "1,200 calls"]


def test_backticks_become_code_and_nothing_else_becomes_markup() -> None:
    assert ticked("`a<b` & <i>") == "<code>a&lt;b</code> &amp; &lt;i&gt;"
