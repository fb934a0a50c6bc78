"""The report of a job: one file with the pages' parts, that loads nothing and whose texts stay text."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from html.parser import HTMLParser

from tests.integration.analysed_jobs import add_label, analysed, ended
from tests.integration.api_client import Api
from tests.integration.portal_pages import NASTY, READER, get
from tests.integration.repeated_runs import REFUSAL, asked
from tests.integration.test_compare_page import one_error, text_of, withheld


class Tags(HTMLParser):
    """Collects what a document could load or run, and its ids and links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loading: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one tag."""
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if tag == "a" and "href" in found else []
        loads = [
            f"{tag} {name}" for name in found if name in ("src", "srcset", "style") or name.startswith(("on", "hx-"))
        ]
        self.loading += [tag] * (tag in ("script", "iframe", "img", "form", "object", "embed")) + loads
        if tag == "link" and found.get("href") != "data:,":
            self.loading.append(f"link {found.get('href')}")


def report(api: Api, job_id: str) -> str:
    return get(api, f"/jobs/{job_id}/report.html")


def test_it_has_everything_and_loads_nothing(api: Api) -> None:
    job_id = asked(api, withheld, runs=4)
    result = analysed(api, job_id)
    page = report(api, job_id)
    told = text_of(page)
    assert Tags(page).loading == []
    assert "url(" not in page
    assert page.index('class="cautions"') < page.index('class="headline"')
    assert result["headline"]["text"] in told
    assert page.count('class="heat"') == 1
    assert page.count('class="forest"') == 1, "wording has no pairs here"
    assert told.count(REFUSAL.replace("'", "&#39;")) >= 8
    assert result["method"] in told
    assert result["input_sha256"] in told


def test_its_links_lead_into_it_or_to_a_whole_address(api: Api) -> None:
    job_id = asked(api, withheld, questions=3, runs=3)
    analysed(api, job_id)
    tags = Tags(report(api, job_id))
    assert len(tags.ids) == len(set(tags.ids))
    inside = [link[1:] for link in tags.links if link.startswith("#")]
    assert len(inside) == 3
    assert set(inside) <= set(tags.ids)
    assert all(link.startswith(("#", "http://")) for link in tags.links)


def test_its_hashes_are_those_of_the_files(api: Api) -> None:
    job_id = asked(api, one_error, questions=2, runs=2)
    analysed(api, job_id)
    add_label(api, job_id)
    analysed(api, job_id)
    page = report(api, job_id)
    for name in ("compare.json", "analysis.json"):
        body = api.client.get(f"/jobs/{job_id}/{name}").data
        assert hashlib.sha256(body).hexdigest() in page, name


def test_a_job_without_an_analysis_says_why_and_has_the_answers(api: Api) -> None:
    waiting, alone = ended(api), api.submit(constraints={"regions": ["US"], "min_regions": 1})
    assert "The comparison is being computed." in report(api, waiting)
    assert 'class="forest"' not in report(api, waiting)
    assert "2 of 2 calls" in text_of(report(api, waiting))
    assert "nothing to compare" in report(api, alone)


def test_hostile_texts_stay_text(api: Api) -> None:
    job_id = asked(api, lambda region, number, run: NASTY if region == "US" else "</style></title>", questions=1)
    page = report(api, job_id)
    assert Tags(page).loading == []
    assert page.count("</style>") == page.count("</title>") == 1
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_its_policy_allows_its_own_style_and_nothing_else(api: Api) -> None:
    job_id = ended(api)
    answer = api.client.get(f"/jobs/{job_id}/report.html")
    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    allowed = f"sha256-{b64encode(hashlib.sha256(style.encode()).digest()).decode()}"
    for policy in (
        answer.headers["Content-Security-Policy"],
        re.findall('http-equiv="Content-Security-Policy" content="([^"]+)"', answer.text)[0].replace("&#39;", "'"),
    ):
        assert f"default-src 'none'; img-src data:; style-src '{allowed}'" in policy
        assert "unsafe" not in policy
    assert answer.headers["Content-Disposition"] == f'inline; filename="{job_id}-report.html"'


def test_the_pages_have_a_button_for_it(api: Api) -> None:
    job_id = ended(api)
    for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/compare"):
        assert f'href="/jobs/{job_id}/report.html" download="{job_id}-report.html"' in get(api, path)
    assert api.client.get("/jobs/none/report.html").status_code == 404


def test_readers_need_their_token(make_api: Callable[..., Api]) -> None:
    closed = make_api(READ_TOKENS=f"guest:{READER}")
    path = f"/jobs/{closed.submit()}/report.html"
    assert closed.client.get(path).headers["Location"].startswith("/login")
    assert closed.client.get(path, headers={"Authorization": f"Bearer {READER}"}).status_code == 200
