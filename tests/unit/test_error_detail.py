"""The error objects of executions and calls, as they are stored and as clients read them: byte for byte."""

import json
import time

import pytest

from runner_core.error_detail import UNASKED, of_call, unasked
from runner_core.upstreams import UpstreamModel
from runner_worker.providers.ask import Ask
from runner_worker.providers.failures import TryFailed

NOBODY = ', "http_status": null, "provider": null}'
DISPATCH = '"type": "system", "stage": "dispatch", "message": '
TEXTS = {
    "cancelled": '{"code": "cancelled", "type": "system", "stage": "cancel", "message": "The job was cancelled.",'
    f' "transient": false{NOBODY}',
    "no_provider": '{"code": "no_provider", "type": "configuration", "stage": "waiting", "message":'
    f' "No provider is configured for this model in this region.", "transient": false{NOBODY}',
    "queue_timeout": f'{{"code": "queue_timeout", {DISPATCH}"No worker took the region in time.",'
    f' "transient": false{NOBODY}',
    "timeout": '{"code": "timeout", "type": "timeout", "stage": "waiting", "message":'
    f' "The region\'s deadline has passed.", "transient": true{NOBODY}',
    "undeliverable": f'{{"code": "undeliverable", {DISPATCH}'
    f'"The region\'s message could not be delivered to the queue.", "transient": false{NOBODY}',
    "worker_crashed": f'{{"code": "worker_crashed", {DISPATCH}'
    f'"The region\'s worker was lost in each of its attempts.", "transient": false{NOBODY}',
}


@pytest.mark.parametrize("code", UNASKED)
def test_what_ends_without_its_provider(code: str) -> None:
    assert json.dumps(unasked(code)) == TEXTS[code]


def test_a_call_says_where_and_when() -> None:
    error = of_call(unasked("timeout", "p-us"), "US", "m1", "2026-11-27T02:00:00+00:00")
    assert json.dumps(error) == TEXTS["timeout"].replace('"provider": null}', "") + (
        '"provider": "p-us", "region": "US", "model": "m1", "timestamp": "2026-11-27T02:00:00+00:00"}'
    )


def test_a_failed_try_has_the_same_fields_in_the_same_order() -> None:
    ask = Ask(region="US", model_id="m1", upstream=UpstreamModel("m"), prompt="?", deadline=time.monotonic() + 1)
    error = TryFailed.from_status(503, "busy").error(ask, "p-us")
    assert list(error) == list(of_call(unasked("timeout"), "US", "m1", ""))
    assert json.dumps({**error, "timestamp": ""}) == (
        '{"code": "http_503", "type": "http", "stage": "response", "message": "Provider p-us: HTTP status 503. busy",'
        ' "transient": true, "http_status": 503, "provider": "p-us", "region": "US", "model": "m1", "timestamp": ""}'
    )
