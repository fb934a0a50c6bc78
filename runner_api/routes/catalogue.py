"""The questions, models and regions of the regions file."""

from flask import Blueprint, Response

from runner_api.http.services import services
from runner_api.http.wire import reply

blueprint = Blueprint("catalogue", __name__)


@blueprint.get("/questions")
def questions() -> Response:
    """List the questions that jobs may ask by name."""
    texts = services().catalogue.questions
    return reply({"questions": [{"id": name, "text": text} for name, text in texts.items()]})


@blueprint.get("/models")
def models() -> Response:
    """List every model with the regions that can answer it."""
    catalogue = services().catalogue
    return reply(
        {
            "models": [
                {"id": name, "regions": regions, "default": name == catalogue.default_model}
                for name, regions in catalogue.models.items()
            ]
        }
    )


@blueprint.get("/regions")
def regions() -> Response:
    """List every region with its other names and its models."""
    catalogue = services().catalogue
    return reply(
        {
            "regions": [
                {
                    "name": region.name,
                    "display": region.display,
                    "aliases": list(region.aliases),
                    "models": [name for name, places in catalogue.models.items() if region.name in places],
                }
                for region in catalogue.regions.values()
            ]
        }
    )
