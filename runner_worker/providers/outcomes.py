"""The table that decides what follows from each outcome of a request to a provider.

docs/reference.md shows the table. Its codes are labels of a metric, so they stay few.
"""

from typing import NamedTuple

PAID = ("no", "maybe", "yes")  # in this order: the most that any try says holds for the call
# Statuses of temporary errors: a call is asked again after each of them.
TRANSIENT_STATUSES = frozenset({408, 409, 425, 429, 498, 500, 502, 503, 504, 529})
PERMANENT_STATUSES = frozenset({400, 401, 403, 404, 413, 422})
PERMANENT_5XX = frozenset({501, 505, 511})  # every other 5xx is temporary: Cloudflare's 520 to 524, 507, 530


class Fault(NamedTuple):
    """The consequences of one error code.

    `kind` is the error object's `type`; `stage`, where the call failed. `transient`: whether asking again later may
    help. `tries`: how often one call may be asked, None for as often as PROVIDER_MAX_TRIES allows. `paid`: whether the
    request was paid for. `breaker`: what the breaker of the model learns: failure, healthy or nothing. `{limit}` in
    the sentence is the token limit in brackets. `remedy`: what to do about it.
    """

    kind: str
    stage: str
    transient: bool
    tries: int | None
    paid: str
    breaker: str
    sentence: str
    remedy: str = ""


FAULTS: dict[str, Fault] = {
    # Ended by us.
    "cancelled": Fault("cancelled", "waiting", False, 1, "no", "nothing", "the run was cancelled"),
    "timeout": Fault("timeout", "waiting", False, 1, "no", "nothing", "the deadline has passed"),
    "provider_unavailable": Fault(
        "unavailable", "waiting", True, 1, "no", "nothing", "the breaker stayed open until the deadline"
    ),
    "adapter_failed": Fault(
        "adapter",
        "request",
        False,
        1,
        "maybe",
        "healthy",
        "the adapter raised an error that it should have handled",
        "The worker's log has the traceback.",
    ),
    # The connection.
    "connect_timeout": Fault("timeout", "connect", True, None, "no", "failure", "no connection in time"),
    "connect_failed": Fault("network", "connect", True, None, "no", "failure", "no connection"),
    "write_timeout": Fault(
        "timeout", "request", True, None, "no", "failure", "the provider did not take the request in time"
    ),
    "read_timeout": Fault("timeout", "response", True, 2, "maybe", "failure", "no complete answer in time"),
    "connection_lost": Fault(
        "network", "response", True, None, "maybe", "failure", "the connection ended before the answer did"
    ),
    "not_http": Fault(
        "answer",
        "response",
        True,
        2,
        "maybe",
        "failure",
        "the answer is not HTTP/1.1",
        "Check the scheme and the port of base_url.",
    ),
    # The answer.
    "redirect_refused": Fault(
        "http",
        "response",
        False,
        1,
        "no",
        "healthy",
        "a redirect other than 303 to the same origin",
        "If it may be trusted, make it base_url.",
    ),
    "answer_too_large": Fault("answer", "response", False, 1, "yes", "healthy", "the answer is larger than the limit"),
    "unasked_format": Fault("answer", "response", False, 1, "yes", "healthy", "the answer has an unasked format"),
    "malformed_answer": Fault(
        "answer", "answer", True, 2, "maybe", "failure", "the answer does not follow the protocol"
    ),
    "empty_response": Fault("answer", "answer", False, 1, "yes", "healthy", "the answer holds no text"),
    "token_limit": Fault(
        "answer",
        "answer",
        False,
        1,
        "yes",
        "healthy",
        "the token limit{limit} was reached before any text",
        "Raise max_tokens, or lower reasoning_effort.",
    ),
    "wrong_region": Fault(
        "answer",
        "answer",
        False,
        1,
        "yes",
        "healthy",
        "the answer comes from another region",
        "Check base_url and geography.",
    ),
    "provider_error": Fault("provider", "answer", True, None, "maybe", "failure", "the provider says that it failed"),
    "provider_refused_request": Fault(
        "provider", "answer", False, 1, "maybe", "healthy", "the provider says that the request is wrong"
    ),
    "quota_exhausted": Fault(
        "http",
        "response",
        False,
        1,
        "no",
        "failure",
        "the account's quota is used up",
        "Raise the quota, or wait until it is renewed.",
    ),
    # Other statuses of HTTP. A status has a code of its own, or one of these two.
    "http_5xx": Fault("http", "response", True, None, "no", "failure", "a server or a gateway failed"),
    "http_other": Fault("http", "response", False, 1, "no", "healthy", "an unexpected HTTP status"),
}
_REMEDIES = {
    401: "The key is missing or unknown: check api_key_env.",
    403: "The key may not do this.",
    404: "Check base_url, and the model's name in `models`.",
    413: "The question is too long for the provider.",
}
for _status in sorted(TRANSIENT_STATUSES):
    FAULTS[f"http_{_status}"] = Fault("http", "response", True, None, "no", "failure", f"HTTP status {_status}")
for _status in sorted(PERMANENT_STATUSES):
    _remedy = _REMEDIES.get(_status, "")
    FAULTS[f"http_{_status}"] = Fault("http", "response", False, 1, "no", "healthy", f"HTTP status {_status}", _remedy)

# Said after a status 400 or 422 whose words name a parameter.
PARAMETER_REMEDY = (
    "If the model does not take a parameter, name it in `omit`, give its other name in `rename`, or set it to null in"
    " the job."
)


def code_of_status(status: int) -> str:
    """Return the code of an HTTP status that is an error."""
    code = f"http_{status}"
    if code in FAULTS:
        return code
    return "http_5xx" if 500 <= status <= 599 and status not in PERMANENT_5XX else "http_other"
