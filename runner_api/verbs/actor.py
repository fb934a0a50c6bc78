"""The person or key that acts on a job."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Who acts. `name` goes into the event; an owner also has the key and the nonce that the action was signed with."""

    name: str
    public_key: str | None = None
    nonce: str | None = None
