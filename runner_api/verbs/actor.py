"""Who acts on a job: an administrator, or the holder of the key that signed the job."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Actor:
    """Who acts. `name` goes into the event. The holder of a key also has the key and the nonce of the signed action."""

    name: str
    public_key: str | None = None
    nonce: str | None = None
