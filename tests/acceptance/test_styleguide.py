"""The components look as they did: screenshots of /styleguide against those in tests/data/styleguide.

A change that is meant: `make styleguide` takes them again; look at what git shows. The baselines belong to one version
of Chromium and to one machine's fonts; elsewhere the test is skipped.
"""

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.browsing import KEPT, looking, regions_file

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from runner_cli.local import Local

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.timeout(240)]

BASELINES = Path(__file__).parents[1] / "data/styleguide"
MADE_WITH = BASELINES / "made_with.json"
RENEW = os.environ.get("RENEW_STYLEGUIDE") == "1"
LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1000, "height": 800}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1000, "height": 800}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 800}},
}
TOLERATED = (
    0.01  # of the pixels of a square: a changed letter is more, an edge that is drawn a little otherwise is less
)
# How wide a text is in the page's two families of fonts.
FONTS = """
() => ["body", "code"].map((name) => {
  const style = getComputedStyle(document.querySelector(name));
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `100px ${style.fontFamily}`;
  return Math.round(pen.measureText("Hamburgefonstiv 0123456789 埃菲尔 يقع").width);
})
"""
# The largest share, over all squares of 50 by 50, of pixels of which a channel differs by more than a tenth.
DIFFERENCE = """
async (pictures) => {
  const [one, other] = await Promise.all(pictures.map(async (data) => {
    const picture = new Image();
    picture.src = `data:image/png;base64,${data}`;
    await picture.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height });
    const pen = canvas.getContext("2d");
    pen.drawImage(picture, 0, 0);
    return pen.getImageData(0, 0, canvas.width, canvas.height);
  }));
  if (one.width !== other.width || one.height !== other.height) return 1;
  const squares = new Map();
  for (let at = 0; at < one.data.length; at += 4) {
    if (![0, 1, 2].some((channel) => Math.abs(one.data[at + channel] - other.data[at + channel]) > 25)) continue;
    const x = Math.floor((at / 4 % one.width) / 50), y = Math.floor(at / 4 / one.width / 50);
    squares.set(`${x} ${y}`, (squares.get(`${x} ${y}`) ?? 0) + 1);
  }
  return Math.max(0, ...squares.values()) / 2500;
}
"""


@pytest.fixture(scope="module")
def local(shared_stack: Callable[..., "Local"], make_home: Callable[[], Path]) -> "Local":
    return shared_stack(env={"REGIONS_FILE": str(regions_file(make_home()))})


@pytest.mark.parametrize("look", LOOKS)
def test_components_look_as_they_did(browser: "Browser", local: "Local", look: str) -> None:
    with looking(browser, local, reduced_motion="reduce", **LOOKS[look]) as page:
        page.goto("/styleguide")
        made_with = {"chromium": browser.version, "fonts": page.evaluate(FONTS)}
        if not RENEW and made_with != json.loads(MADE_WITH.read_text()):
            pytest.skip("the baselines belong to another version of Chromium or to other fonts: tests/data/styleguide")
        taken = page.locator("main").screenshot(animations="disabled", caret="hide")
        if RENEW:
            MADE_WITH.write_text(json.dumps(made_with) + "\n")
            (BASELINES / f"{look}.png").write_bytes(taken)
            return
        page.goto("about:blank")
        share = difference(page, (BASELINES / f"{look}.png").read_bytes(), taken)
        if share > TOLERATED:
            KEPT.mkdir(exist_ok=True)
            (KEPT / f"styleguide-{look}.png").write_bytes(taken)
    assert share <= TOLERATED, f"see artefacts/styleguide-{look}.png; if this is meant, run `make styleguide`"


def test_a_changed_component_is_seen(browser: "Browser", local: "Local") -> None:
    """The tolerance hides no change that a person would see: here five badges have another colour."""
    with looking(browser, local, reduced_motion="reduce", **LOOKS["light"]) as page:
        page.goto("/styleguide")
        before = page.locator("main").screenshot(animations="disabled")
        again = page.locator("main").screenshot(animations="disabled")
        page.evaluate("document.querySelectorAll('.badge').forEach((badge) => badge.classList.add('refused'))")
        after = page.locator("main").screenshot(animations="disabled")
        page.goto("about:blank")
        assert difference(page, before, again) <= TOLERATED
        assert difference(page, before, after) > TOLERATED


def difference(page: "Page", one: bytes, other: bytes) -> float:
    share: float = page.evaluate(DIFFERENCE, [base64.b64encode(picture).decode() for picture in (one, other)])
    return share
