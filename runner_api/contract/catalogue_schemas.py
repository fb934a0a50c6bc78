"""What the API answers about the regions file: its questions, models and regions.

The models describe and do not serialise: rows go out as they are read. Every answer may grow fields.
"""

from pydantic import BaseModel


class Question(BaseModel):
    """A question that jobs may ask by its id."""

    id: str
    text: str


class Questions(BaseModel):
    """The catalogue's questions."""

    questions: list[Question]


class CatalogueModel(BaseModel):
    """A model and the regions that can answer it."""

    id: str
    regions: list[str]
    default: bool


class CatalogueModels(BaseModel):
    """The catalogue's models."""

    models: list[CatalogueModel]


class Region(BaseModel):
    """A region, its other names and its models."""

    name: str
    display: str
    aliases: list[str]
    models: list[str]


class Regions(BaseModel):
    """The catalogue's regions."""

    regions: list[Region]
