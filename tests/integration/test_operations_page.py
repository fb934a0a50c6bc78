"""The Operations page: what ended lately, by minute and by part; why jobs are stuck; and where its numbers lead."""

import re
import time
from collections.abc import Callable

import pytest

from tests.integration.api_client import Api
from tests.integration.portal_pages import get

WORKER = "INSERT INTO processes (id, kind, region, host, pid, version) VALUES ('w', 'worker', 'US', 'h', 7, '0')"


def ended(api: Api) -> str:
    """A job of two models in US and EU, of which one unit failed."""
    job_id = api.submit(models=["m1", "m2"])
    api.finish(job_id, "US", {"m1": True, "m2": True})
    api.finish(job_id, "EU", {"m1": True, "m2": False})
    api.sql("UPDATE executions SET duration_ms = 1200 WHERE region = 'US'")
    api.sql("UPDATE executions SET duration_ms = 90000 WHERE region = 'EU'")
    return job_id


def section(page: str, name: str) -> str:
    return page.partition(f'aria-labelledby="{name}"')[2].partition("</section>")[0]


class TestWhatEnded:
    def test_a_minute_leads_to_its_units_and_their_job(self, api: Api) -> None:
        job_id = ended(api)
        page = get(api, "/operations")
        points = re.findall(r'class="point" id="throughput-\d{4}" href="([^"]+)" aria-label="([^"]+)"', page)
        assert sum(int(re.search(r"(\d+) units? ended", label)[1]) for _, label in points) == 4  # type: ignore[index]
        units = "".join(get(api, href.replace("&amp;", "&")) for href, _ in points)
        assert units.count(f'href="/jobs/{job_id}"') == 4
        assert "<bdi>m2</bdi> in EU" in units
        assert "http_503" in units
        assert "1.2 s" in units

    def test_the_same_numbers_stand_in_a_table(self, api: Api) -> None:
        ended(api)
        page = get(api, "/operations")
        rows = re.findall(r"<tr><th scope=\"row\">\d\d:\d\d</th>((?:<td class=\"number\"[^>]*>[^<]*</td>)+)", page)
        told = [re.findall(r">([^<]+)<", row) for row in rows]
        assert sum(int(row[0]) for row in told if len(row) == 4) == 4
        assert sum(int(row[2]) for row in told if len(row) == 4) == 1

    def test_the_axis_of_times_is_logarithmic_and_has_values(self, api: Api) -> None:
        ended(api)
        latency = section(get(api, "/operations"), "l")
        ticks = re.findall(r'<text x="48" y="([\d.]+)"[^>]*>([^<]+)</text>', latency)
        assert [text for _, text in ticks] == ["10 s", "1 min", "10 min"]
        assert "<polyline" in latency

    def test_a_split_has_a_line_for_each_part(self, api: Api) -> None:
        ended(api)
        by_region = section(get(api, "/operations?by=region"), "l")
        assert re.findall(r"<bdi>(\w+)</bdi></span>", by_region) == ["EU", "US"]
        assert '<th scope="col" class="number">US</th>' in by_region
        by_provider = section(get(api, "/operations?by=provider"), "l")
        assert "sandbox-us" in by_provider

    def test_windows_are_chosen_by_the_address_and_unknown_ones_are_the_hour(self, api: Api) -> None:
        ended(api)
        for last, words in (("1h", "minute"), ("6h", "5 minutes"), ("24h", "15 minutes"), ("9y", "minute")):
            page = get(api, f"/operations?last={last}&by=nothing")
            assert f"<small>units that ended, by {words}</small>" in page
            assert page.count('class="point" id="throughput-') in (1, 2)
        assert 'id="last-24h" href="/operations?last=24h&amp;by=region"' in get(api, "/operations?by=region")

    def test_an_address_that_names_no_time_is_told_so(self, api: Api) -> None:
        for query in ("", "at=yesterday", "at=2026-01-01T00:00Z&minutes=0", "at=9999-12-31T23:59Z&minutes=1440"):
            assert "must be a" in get(api, f"/operations/units?{query}", 422), query
        assert "No unit ended in this time." in get(api, "/operations/units?at=2026-01-01T00:00Z")

    def test_a_time_without_a_zone_is_utc(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        """On whatever clock the server's machine is."""
        try:
            with monkeypatch.context() as patch:
                patch.setenv("TZ", "Asia/Kolkata")
                time.tzset()
                pages = [get(api, f"/operations/units?at=2026-01-01T12:00{zone}") for zone in ("", "Z")]
        finally:
            time.tzset()
        without, with_zone = (page.partition("<main")[2].partition("</main>")[0] for page in pages)
        assert without == with_zone


class TestStuckJobs:
    def test_each_says_why_and_offers_only_what_can_help(self, api: Api) -> None:
        job_id = api.submit(constraints={"regions": ["US"]})
        api.sql("UPDATE jobs SET created_at = now() - interval '1 hour'")
        unsent = section(get(api, "/operations"), "s")
        assert "no publisher is alive" in unsent
        assert 'data-copy="python -m outbox_publisher"' in unsent
        assert "Send again" not in unsent
        api.sql("UPDATE outbox SET processed_at = now()")
        without = section(get(api, "/operations"), "s")
        assert 'data-copy="python -m runner_worker --region US"' in without
        assert "Send again" not in without
        api.sql(WORKER)
        lost = section(get(api, "/operations"), "s")
        assert "1 worker is alive" in lost
        assert f'href="/jobs/{job_id}/republish"' in lost

    def test_of_many_the_first_say_why(self, api: Api) -> None:
        for _ in range(11):
            api.submit()
        api.sql("UPDATE jobs SET created_at = now() - interval '1 hour'")
        stuck = section(get(api, "/operations"), "s")
        assert stuck.count("Its page says why.") == 6
        assert stuck.count('class="which"') == 11


def test_numbers_lead_to_what_they_count(api: Api) -> None:
    job_id = api.submit()
    page = get(api, "/operations")
    for link in ("/?status=queued", f"/jobs/{job_id}", "#d", "#s", "/?region=US"):
        assert f'href="{link}"' in page, link
    whole = re.search(r'id="go-units" href="([^"]+)"', page)
    assert whole
    assert "No unit ended in this time." in get(api, whole[1].replace("&amp;", "&"))


def test_the_components_are_off_without_sandbox_providers(api: Api, make_api: Callable[..., Api]) -> None:
    page = get(api, "/styleguide")
    assert "Each component of" in page
    parts = ('<div class="spark">', '<figure class="lanes"', 'class="retrying"', 'class="now"', '<ul class="failures">')
    for shown in parts:
        assert shown in page, shown
    assert "Set PROVIDER_US_KEY, PROVIDER_EU_KEY in the worker's environment" in page.replace("&#39;", "'")
    assert "And 4 other messages with this code." in page
    assert "ALLOW_SANDBOX=1" in get(make_api(ALLOW_SANDBOX="0"), "/styleguide", 404)
