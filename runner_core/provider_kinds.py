"""The kinds of provider: our own, and those that other installed distributions bring (docs/providers.md).

A kind is an entry point of the group `beacon_runner.providers`. API and workers load all of them at their start.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from runner_core.errors import ConfigError
from runner_core.upstreams import PARAMETERS, Provider, Region

GROUP = "beacon_runner.providers"
API = 1  # the version of what a kind and this release expect of each other
OWN = "beacon-runner"
_NAMES = (tuple, list, set, frozenset)  # a text alone is a tuple whose comma was forgotten
# The keys of a provider in the regions file that a kind may take, beyond those that every provider has: those of a kind
# that asks by HTTP, those of a kind whose request is a JSON object with parameters, and others.
HTTP_SETTINGS = ("base_url", "api_key_env", "query", "headers", "headers_env", "proxy", "ca_file", "geography")
BODY_SETTINGS = ("omit", "rename", "body")
SETTINGS = (*HTTP_SETTINGS, *BODY_SETTINGS, "system_role", "path", "options")


@dataclass(frozen=True)
class Kind:
    """One kind of provider. `distribution`: the installed distribution that brings it, with its version.

    `factory` makes the adapter of a provider. `settings`: those of SETTINGS that it takes; with `base_url` among them
    it asks by HTTP. `takes`: the parameters that a request can have. `writes`: the members of a request's body that are
    no parameters. `simulated`: whether its answers are made up. `key_header`: the header with the key, as `Bearer KEY`
    where it is Authorization; `headers`: constant headers; `model_list`: the path of a list of models, if there is one.
    """

    name: str
    distribution: str
    factory: Callable[..., Any]
    settings: frozenset[str]
    takes: frozenset[str]
    writes: frozenset[str]
    simulated: bool
    key_header: str
    headers: Mapping[str, str]
    model_list: str

    @property
    def is_own(self) -> bool:
        """Return whether this distribution brings the kind."""
        return self.distribution.partition(" ")[0] == OWN

    @property
    def asks_by_http(self) -> bool:
        """Return whether a provider of this kind has an address."""
        return "base_url" in self.settings

    def mistakes(self, provider: Provider, region: Region) -> list[str]:
        """Return one sentence for each mistake in a provider's settings that only this kind knows of."""
        check = getattr(self.factory, "mistakes", None)
        if check is None:
            return []
        try:
            found = check(provider, region)
            return [found] if isinstance(found, str) else [str(mistake) for mistake in found]
        except Exception as error:  # noqa: BLE001 - another distribution's code
            return [f"the kind {self.name} of {self.distribution} can't check its settings: {_said(error)}"]


@cache
def kinds() -> Mapping[str, Kind]:
    """Return all kinds by name. Raises ConfigError with every mistake; the distribution is named."""
    mistakes: list[str] = []
    found: dict[str, Kind] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        if (earlier := found.get(point.name)) and earlier.distribution != _distribution(point):
            mistakes.append(
                f"{earlier.distribution} and {_distribution(point)} both have the kind of provider {point.name}:"
                " uninstall one of them"
            )
            continue
        kind = _load(point, mistakes)
        if kind:
            found[point.name] = kind
    if not mistakes and not any(kind.is_own for kind in found.values()):
        mistakes.append(
            f"{OWN} has no kinds of provider: it is not installed as its pyproject.toml says; install it again"
        )
    if mistakes:
        raise ConfigError(mistakes)
    return found


def _load(point: EntryPoint, mistakes: list[str]) -> Kind | None:
    what = f"the kind of provider {point.name} of {_distribution(point)}"
    try:
        factory = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - another distribution's code
        mistakes.append(f"{what} can't be loaded: {_said(error)}")
        return None
    api = getattr(factory, "api", None)
    if api != API or isinstance(api, bool):
        mistakes.append(f"{what} has api {api!r}, and this release knows {API} alone: install a version that fits")
        return None
    settings, parameters = _names(factory, "settings"), _names(factory, "parameters")
    key_header, headers = getattr(factory, "key_header", "Authorization"), getattr(factory, "headers", {})
    wrong = [
        f"{what} has {name} that is no tuple of names"
        for name in ("settings", "parameters", "writes")
        if not isinstance(getattr(factory, name, ()), _NAMES)
    ]
    wrong += [f"{what} names the setting {name!r}, which does not exist" for name in sorted(settings - set(SETTINGS))]
    wrong += [
        f"{what} names the parameter {name!r}, which does not exist" for name in sorted(parameters - set(PARAMETERS))
    ]
    if not callable(factory):
        wrong.append(f"{what} can't be called")
    if not (isinstance(key_header, str) and isinstance(headers, Mapping) and all(map(_can_be_sent, headers.items()))):
        wrong.append(f"{what} has a key_header that is no text, or headers that are no table of texts in ASCII")
    mistakes.extend(wrong)
    if wrong:
        return None
    return Kind(
        name=point.name,
        distribution=_distribution(point),
        factory=factory,
        settings=settings,
        takes=parameters,
        writes=_names(factory, "writes"),
        simulated=bool(getattr(factory, "simulated", False)),
        key_header=key_header,
        headers=dict(headers),
        model_list=str(getattr(factory, "model_list", "")),
    )


def _names(factory: Any, attribute: str) -> frozenset[str]:
    value = getattr(factory, attribute, ())
    return frozenset(map(str, value)) if isinstance(value, _NAMES) else frozenset()


def _can_be_sent(header: tuple[Any, Any]) -> bool:
    return all(isinstance(text, str) and text.isascii() and text.isprintable() for text in header)


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
