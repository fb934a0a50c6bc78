"""What the API answers about the comparison of a job's regions, about labels and methods, and the body of a label.

The models describe and do not serialise: the analyst's result goes out as it is stored. Every answer may grow fields.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field, JsonValue

from runner_api.contract.comparison_schemas import Category, Caution, Design, Headline, ModelNumbers

AnalysisState = Literal["ready", "pending", "off", "one_region"]


class Origin(BaseModel):
    """Where an analysis comes from: the method, the SHA-256 of its input, the job's version and newest label."""

    job_id: str
    method: str
    input_sha256: str
    computed_at: datetime
    job_version: int
    label_id: int


class EarlierAnalysis(Origin):
    """The newest analysis of an earlier state of the job; `href` reads it."""

    href: str


class Analysis(BaseModel):
    """The comparison of a job's regions, by the method that `method` names.

    `state`: `ready`; `pending` while the job runs or the comparison is computed; `off` where it was not wanted or the
    job was cancelled; `one_region` where no model was asked in two regions. Unless the state is `ready`, `text` says
    why there is no comparison, and there is no number. `current`: whether the analysis is of the job's present version
    with its newest label. `labels`: how many categories came from each source.
    """

    job_id: str
    state: AnalysisState
    job_version: int
    label_id: int
    text: str = ""
    previous: EarlierAnalysis | None = None
    current: bool = True
    method: str = ""
    input_sha256: str = ""
    computed_at: datetime | None = None
    headline: Headline | None = None
    cautions: list[Caution] = []
    design: Design | None = None
    labels: dict[str, JsonValue] = {}
    models: list[ModelNumbers] = []


class LabelBody(BaseModel):
    """What an answer is, as a person says."""

    category: Category
    note: str | None = Field(None, max_length=2000)


class Label(BaseModel):
    """What somebody said an answer is. `actor` and `note` only for administrators."""

    id: int
    answer_id: int
    category: Category
    source: Literal["human", "judge"]
    at: datetime
    actor: str = ""
    note: str = ""


class AddedLabel(Label):
    """A label that was added."""

    job_id: str


class Labels(BaseModel):
    """A page of a job's labels; `next_after` asks for the next, null after the last."""

    labels: list[Label]
    next_after: int | None


class Method(BaseModel):
    """A method of comparison: its page with every formula, and what is needed to compute it without us.

    `ids`: its names, which differ in how refusals are recognised: by rules, or by rules and sentence embeddings.
    `page` is Markdown. `example` is an export, `example_values` are numbers of its analysis by their place, as text.
    `patterns` are the rules by which refusals are recognised, by language; `filters` the lists by which a provider's
    filter is. `judge`: the prompt of every judge, with its SHA-256, which is in the id of a method with a judge.
    `detector`: how well refusals are found, by language.
    """

    ids: list[str]
    method: str
    rules: str
    page: str
    example: dict[str, JsonValue]
    example_values: dict[str, str]
    patterns: dict[str, JsonValue]
    filters: dict[str, JsonValue]
    judge: dict[str, str]
    detector: dict[str, JsonValue]
