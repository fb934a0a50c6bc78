"""The page that describes the API: what is on it, in which order, for which host, and that it is rendered once."""

import html
import re

import pytest
from flask import template_rendered

from runner_api.contract.error_codes import ERROR_CODES
from runner_api.contract.examples import SIGN_JOB, examples
from runner_core.vocabulary import WORDS
from tests.integration.api_client import Api
from tests.integration.portal_pages import get


def test_what_is_needed_first_stands_first(api: Api) -> None:
    page = get(api, "/docs")
    headings = re.findall(r'<h2 id="[\w-]+">([^<]+)</h2>', page.partition("</main>")[0])
    assert headings == [
        *("Signing", "Jobs", "Executions", "Analysis", "Catalogue", "Health", "Admin"),
        *("Error codes", "Words", "Shapes"),
    ]
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([\w-]+)"', page)) <= set(ids)


def test_each_operation_has_its_example_in_three_languages(api: Api) -> None:
    page = get(api, "/docs")
    for language in ("curl", "Python", "JavaScript"):
        assert page.count(f'data-language="{language}"') == len(examples())
    assert page.count('<form class="try"') == sum(name.startswith("GET") for name in examples())
    assert html.escape(SIGN_JOB.rstrip(), quote=True).replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in page


@pytest.mark.parametrize("base_url", ["http://localhost", "https://beacon.example:8443"])
def test_the_commands_name_this_host(base_url: str, api: Api) -> None:
    page = api.client.get("/docs", base_url=base_url).text
    assert f"&#39;{base_url}/api/v1/questions&#39;" in page
    assert "beacon.invalid" not in page


def test_a_hostile_host_is_text(api: Api) -> None:
    page = api.client.get("/docs", headers={"Host": 'a"><script>x'}).text
    assert "<script>x" not in page


def test_error_codes_and_words_are_told(api: Api) -> None:
    page = get(api, "/docs")
    for code in ERROR_CODES:
        assert f'id="error-{code}"' in page
    for word in WORDS:
        assert f"<dt>{word}</dt>" in page


def test_the_page_is_rendered_once(api: Api) -> None:
    """The second time costs the frame alone."""
    get(api, "/docs")
    rendered: list[str] = []
    with template_rendered.connected_to(lambda app, template, **more: rendered.append(template.name), api.app):
        get(api, "/docs")
    assert rendered == ["docs.html"]
