"""Three regions and two models whose provider is one server on this machine."""

from pathlib import Path

REGIONS = ("US", "EU", "ASIA")
MODELS = ("m1", "m2")


def write_regions(path: Path, provider_url: str, width: int = 64, key_env: str = "") -> Path:
    """A regions file in which one provider answers for every region, each at a path of its own."""
    key = f'api_key_env = "{key_env}"\n' if key_env else ""
    models = ", ".join(f'"{model}" = "{model}"' for model in MODELS)
    parts = [f'default_model = "{MODELS[0]}"']
    for region in REGIONS:
        parts.append(f'[regions.{region}]\ndisplay = "{region}"\nsystem_prompt = "You answer for {region}."')
    for region in REGIONS:
        parts.append(
            f'[[providers]]\nid = "provider-{region.lower()}"\nregion = "{region}"\nkind = "openai"\n'
            f'base_url = "{provider_url}/{region}/v1"\n{key}max_concurrency = {width}\nmodels = {{ {models} }}'
        )
    path.write_text("\n\n".join(parts) + "\n")
    return path
