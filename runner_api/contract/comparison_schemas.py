"""The numbers of an analysis, as the method computes them. `docs/comparison.md` has the formula of each.

The models describe and do not serialise: the analyst's result goes out as it is stored. Every answer may grow fields.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Category = Literal["content_filter", "hard_refusal", "partial_refusal", "deflection", "non_answer", "answer"]
P = Annotated[float | None, Field(gt=0, le=1, description="A p-value; null where there is no test.")]
Statistic = Annotated[str | None, Field(description="A whole number as text, because it may be larger than 2^53.")]


class Headline(BaseModel):
    """What the comparison says in one sentence."""

    kind: Literal["difference", "none", "not_enough"]
    text: str


class Caution(BaseModel):
    """What must be known before the numbers are read; `models` are those that it concerns."""

    code: str
    text: str
    models: list[str]


class Design(BaseModel):
    """What the job asked, and what it could have found."""

    regions: list[str]
    models: int
    questions: int
    controls: list[str]
    runs: int
    planned: int
    usable: int
    non_answers: int
    errors: int
    temperature: dict[str, list[float | None]]
    seeds: dict[str, list[str]]
    equal_conditions: bool
    min_p_question: P
    runs_needed_for_one_question: int | None


class Rate(BaseModel):
    """How often a model withheld its answer in one region. `range`: the rate if no error were a refusal, or all."""

    rate: float | None
    low: float | None
    high: float | None
    answers: int
    withheld: int
    non_answers: int
    errors: int
    range: list[float] | None
    categories: dict[Category, int]
    languages: dict[str, int]
    words_median: float | None


class WithheldTest(BaseModel):
    """Whether the model withheld its answers more often in some regions; `p_holm` is corrected for all models."""

    p: P
    p_holm: P
    differs: bool
    min_p: P
    t: Statistic
    regions: dict[str, Rate]
    controls: dict[str, Rate]


class Spread(BaseModel):
    """The mean distance of answers inside regions (`floor`) and between them (`across`), and the difference."""

    floor: float | None
    across: float | None
    excess: float | None


class ExcessOfControls(BaseModel):
    """The excess over the control questions."""

    excess: float | None


class WordingTest(Spread):
    """Whether the model's answers differ between regions more than inside them."""

    p: P
    p_holm: P
    differs: bool
    min_p: P
    s: Statistic
    low: float | None
    high: float | None
    controls: ExcessOfControls


class FactsOfRegion(BaseModel):
    """The mean share of the listed facts that the answers of one region name."""

    share: float | None
    answers: int


class FactsTest(BaseModel):
    """Whether the model names the listed facts more often in some regions."""

    p: P
    p_holm: P
    differs: bool
    min_p: P
    t: Statistic
    regions: dict[str, FactsOfRegion]


class SameModel(BaseModel):
    """Whether the two endpoints give different distributions of answers."""

    state: Literal["not_asked", "not_tested", "differ", "no_sign"]
    text: str


class PairNumbers(Spread):
    """Two regions of one model: `points` is the withheld rate of `b` less that of `a`."""

    a: str
    b: str
    points: float | None
    low: float | None
    high: float | None
    p_withheld: P
    p_withheld_holm: P
    withheld_differs: bool
    t_withheld: Statistic
    p_wording: P
    p_wording_holm: P
    wording_differs: bool
    s_wording: Statistic
    low_excess: float | None
    high_excess: float | None
    same_model: SameModel


class QuestionInRegion(BaseModel):
    """The answers to one question in one region: `n` usable ones, `worded` those whose words are compared."""

    n: int
    withheld: int
    worded: int
    non_answers: int
    errors: int
    floor: float | None
    facts: float | None


class QuestionNumbers(BaseModel):
    """One question of one model. `alone`: whether it could be marked if it were the only one."""

    question_id: str
    control: bool
    verdict: Literal[
        "not_enough", "withheld_differs", "wording_differs", "identical", "cannot_tell", "no_difference_found"
    ]
    happened: str
    p_withheld: P
    p_withheld_bh: P
    t_withheld: Statistic
    p_wording: P
    p_wording_bh: P
    s_wording: Statistic
    p_facts: P
    t_facts: Statistic
    min_p: P
    min_p_withheld: P
    min_p_wording: P
    alone: bool
    points: float | None
    excess: float | None
    regions: dict[str, QuestionInRegion]
    across: dict[str, float]


class ModelNumbers(BaseModel):
    """All numbers of one model."""

    model_id: str
    regions: list[str]
    equal_conditions: bool
    withheld: WithheldTest
    wording: WordingTest
    facts: FactsTest
    pairs: list[PairNumbers]
    questions: list[QuestionNumbers]
