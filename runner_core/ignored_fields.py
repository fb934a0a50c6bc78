"""Finds the members of a request that look like parameters and stand where nothing reads them."""

from collections.abc import Iterator, Mapping
from typing import Any

from runner_core.upstreams import PARAMETERS

# The names by which other programs know the parameters, and an object of parameters.
ALIASES = (
    "frequencyPenalty",
    "generationConfig",
    "generation_config",
    "maxCompletionTokens",
    "maxOutputTokens",
    "maxTokens",
    "max_completion_tokens",
    "max_new_tokens",
    "max_output_tokens",
    "max_tokens_to_sample",
    "modelParameters",
    "model_parameters",
    "num_predict",
    "params",
    "presencePenalty",
    "randomSeed",
    "random_seed",
    "reasoning",
    "reasoningEffort",
    "sampling_params",
    "stopSequences",
    "stop_sequences",
    "system",
    "systemInstruction",
    "systemPrompt",
    "system_instruction",
    "system_message",
    "temp",
    "thinking",
    "topK",
    "topP",
)
_NAMES = frozenset((*PARAMETERS, *ALIASES))


def ignored_fields(spec: Mapping[str, Any], wrapper: Mapping[str, Any] | None = None) -> list[str]:
    """Return the paths of a valid job's members that look like parameters and are ignored, sorted.

    A member is looked for at the job's top (`temperature`), in `metadata`, in the entries of the lists of models
    (`models[0].top_p`), and in the `wrapper` around the job (`wrapper.temperature`). A null is told too: within
    `parameters` it would mean that nothing is sent.
    """
    metadata = spec.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    found = [*_members(spec, "")]
    found += _members(metadata, "metadata.", with_parameters=True)
    # The models of `metadata` are not read if the job has a list of its own.
    found += _of_models(spec.get("models"), "models")
    found += _of_models(metadata.get("models"), "metadata.models", with_parameters=bool(spec.get("models")))
    if wrapper:
        found += _members(wrapper, "wrapper.", with_parameters=True)
    return sorted(found)


def _of_models(models: object, place: str, *, with_parameters: bool = False) -> Iterator[str]:
    for number, model in enumerate(models if isinstance(models, list) else ()):
        if isinstance(model, dict):
            yield from _members(model, f"{place}[{number}].", with_parameters=with_parameters)


def _members(value: Mapping[str, Any], prefix: str, *, with_parameters: bool = False) -> Iterator[str]:
    for name in value:
        if name in _NAMES or (with_parameters and name == "parameters"):
            yield prefix + name
