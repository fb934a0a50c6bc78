"""What holds for every page: nothing inline, labels, focus, vendored files, contrast."""

import hashlib
import re

import pytest

from tests.integration.api_client import Api
from tests.integration.portal_pages import STATIC, get, log_in


class TestPolicy:
    def test_nothing_runs_inline_and_every_input_has_a_label(self, api: Api) -> None:
        job_id = api.submit()
        client = log_in(api)
        paths = ["/", f"/jobs/{job_id}", f"/jobs/{job_id}/compare", "/operations", "/submit", "/login", "/nowhere"]
        for path in [*paths, *(f"/jobs/{job_id}/{action}" for action in ("cancel", "retry", "label"))]:
            answer = client.get(path, headers={"Accept": "text/html"})
            page = answer.text
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "unsafe" not in policy
            assert answer.headers["Cache-Control"] == "no-store"
            assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:|https?://(?!localhost)", page)
            labelled = set(re.findall(r'<label[^>]* for="([^"]+)"', page))
            bare = re.sub(r"<label[^>]*>(?:(?!</label>).)*</label>", "", page, flags=re.DOTALL)
            for field in re.findall(r"<(?:input|select|textarea)\b[^>]*>", bare):
                if 'type="hidden"' not in field:
                    name = re.search(r' id="([^"]+)"', field)
                    assert name, field
                    assert name[1] in labelled, field

    def test_a_refresh_finds_the_focus_again(self, api: Api) -> None:
        """htmx gives the focus back to the element of the same id, so each that can have it needs one of its own."""
        for n in range(51):
            api.submit(id=f"many-{n}")
        job_id = api.submit(models=["m1", "m2"], runs=2, id="the-job")
        api.record(job_id, "US", api.claim(job_id, "US"), {"m1": False, "m2": False})
        api.finish(job_id, "EU", {"m1": True, "m2": False})
        held = api.submit()
        api.claim(held, "US")
        api.sql(
            "INSERT INTO processes (id, kind, region, host, pid, version) VALUES ('w', 'worker', 'US', 'h', 7, '0')"
        )
        api.sql("UPDATE region_runs SET worker = 'us-h-7-ab' WHERE lease_token IS NOT NULL")
        api.sql("UPDATE jobs SET created_at = now() - interval '1 day' WHERE id = 'many-1'")
        api.sql("UPDATE outbox SET processed_at = now() WHERE job_id = 'many-1'")  # so that sending again may help
        api.sql("UPDATE outbox SET dead_at = now(), last_error = 'refused' WHERE job_id = 'many-2'")
        shown = []
        for path in (
            "/",
            "/?status=failed",
            "/?q=many",
            "/?q=none",
            f"/jobs/{job_id}",
            f"/jobs/{held}",
            "/operations",
        ):
            page = get(api, path)
            live = page.partition('id="live"')[2].partition("</main>")[0].partition('aria-labelledby="identity"')[0]
            for tag in re.findall(r"<(?:a|input|button|select|textarea)\b[^>]*>|<[^>]*tabindex[^>]*>", live):
                assert ' id="' in tag, (path, tag)
            ids = re.findall(r' id="([^"]+)"', page)
            assert len(ids) == len(set(ids)), (path, sorted(i for i in ids if ids.count(i) > 1))
            shown += ids
        assert {"page-older", "show-all", "retry-US", "retry-1-2-EU-1", "send-stuck-many-1", f"run-US-{held}"} <= set(
            shown
        )

    def test_vendored_files_are_what_they_are_said_to_be(self) -> None:
        folder = STATIC / "vendor"
        said = dict(re.findall(r"^\| (\S+\.js) \|.*\| ([0-9a-f]{64}) \|$", (folder / "README.md").read_text(), re.M))
        assert said == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("*.js")}

    @pytest.mark.parametrize("dark", [False, True])
    def test_colours_have_contrast(self, dark: bool) -> None:
        parts = (STATIC / "sheets/colours.css").read_text().split(":root {")
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", parts[1 + dark].partition("}")[0]))
        states = ("ink", "soft", "accent", "completed", "running", "failed", "partial", "cancelled", "pending")
        pairs = [(name, background) for name in states for background in ("paper", "raised", "button")]
        pairs += [("ink", name) for name in ("added", "removed", "wording")]
        pairs += [("on-withheld", "withheld"), ("on-accent", "accent")]
        low = [pair for pair in pairs if contrast(*(colours[name] for name in pair)) < 4.5]
        assert not low


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
