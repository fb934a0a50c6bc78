"""What the API answers about a job across its regions: each region's result, the summary, and what the analysis says.

The models describe and do not serialise: rows go out as they are read. Every answer may grow fields.
"""

from datetime import datetime

from pydantic import BaseModel, JsonValue

from runner_api.contract.analysis_schemas import AnalysisState
from runner_api.contract.comparison_schemas import Headline
from runner_api.contract.execution_schemas import CrossRegion
from runner_core.statuses import RegionStatus


class ModelScoring(BaseModel):
    """How often one model withheld its answer in one region, with an interval, and from which regions that differs."""

    model_id: str
    withheld_rate: float | None
    low: float | None
    high: float | None
    answers: int
    errors: int
    differs_from: list[str]


class Scoring(BaseModel):
    """What the job's analysis says of a region. Of several models: the mean rate without an interval, and sums."""

    method: str
    withheld_rate: float | None
    low: float | None
    high: float | None
    answers: int
    errors: int
    differs_from: list[str]
    models: list[ModelScoring]


class RegionResult(BaseModel):
    """One planned region. `scoring` is null until the job's analysis is ready."""

    region: str
    status: RegionStatus
    provider_id: str | None
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: int | None
    execution_output: JsonValue
    error_message: str | None
    scoring: Scoring | None
    metadata: dict[str, JsonValue]


class SummaryAnalysis(BaseModel):
    """The state of a job's analysis and its headline, null unless it is ready; `href` reads the whole."""

    state: AnalysisState
    headline: Headline | None
    href: str


class Summary(BaseModel):
    """What a job's results come to."""

    text: str
    completed_units: int
    failed_units: int
    refused_answers: int
    answers: int
    analysis: SummaryAnalysis


class OlderWords(BaseModel):
    """The job's analysis by the names that older portals read: means over models and regions of its numbers."""

    censorship_rate: float | None
    bias_variance: float | None
    narrative_divergence: float | None
    factual_consistency: float | None
    summary: str


class CrossRegionExecution(CrossRegion):
    """The same by itself; `version` is the job's."""

    version: int


class CrossRegionView(BaseModel):
    """A job across its regions, with each of them. `analysis` is null until the job's analysis is ready."""

    cross_region_execution: CrossRegionExecution
    region_results: list[RegionResult]
    summary: Summary
    analysis: OlderWords | None
