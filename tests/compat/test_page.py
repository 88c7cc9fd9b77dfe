# SPDX-License-Identifier: BSD-2-Clause
"""The report's page in a real browser: filters, folds, links, contrast, the width of a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import cases
import pytest
from cases.framework import Case, Check, Status
from report.results import Cell, Origin, Run, TargetRun
from report.writers import write_all
from selenium import webdriver
from selenium.webdriver.common.by import By
from targets import TARGETS

NAMES = tuple(TARGETS)
DESKTOP, PHONE = (1400, 900), (390, 844)
UNALIGNED = Check("offset + 1", "ok", "ok", "K3", linux="EINVAL")
WRONG = Check("index", "8192", "4096")

# The lowest contrast of any visible text, and the text's element.
CONTRAST = """
function colour(text) {
  const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
  return {r, g, b, a};
}
function behind(element) {
  for (let at = element; at; at = at.parentElement) {
    const back = colour(getComputedStyle(at).backgroundColor);
    if (back.a === 1) return back;
    if (back.a > 0) throw new Error("half transparent: " + at.outerHTML.slice(0, 80));
  }
  return {r: 255, g: 255, b: 255, a: 1};
}
function light({r, g, b}) {
  const curve = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const part = value => curve(value / 255);
  return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
}
let worst = [99, ""];
for (const element of document.body.querySelectorAll("*")) {
  const speaks = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  if (!speaks || ["SCRIPT", "OPTION", "BUTTON"].includes(element.tagName)) continue;
  const style = getComputedStyle(element);
  const front = colour(style.color);
  if (front.a < 1 || style.opacity !== "1") throw new Error("transparent: " + element.outerHTML);
  const [low, high] = [light(front), light(behind(element))].sort((a, b) => a - b);
  const ratio = (high + 0.05) / (low + 0.05);
  if (ratio < worst[0]) worst = [ratio, element.className + " " + element.outerHTML.slice(0, 80)];
}
return worst;
"""
SHOWN = """
return [...document.querySelectorAll("tr.case")].filter(row => !row.hidden).map(row => row.id);
"""


def _cell(target: str, case: Case) -> Cell:
    if case.id == "mmap.offset-unaligned" and target.startswith("freebsd"):
        return Cell(Status.DIFF, (UNALIGNED,), ("K3",))
    if case.id == "index.packed" and target == "freebsd-domu":
        return Cell(Status.FAIL, (WRONG,), log="the console")
    if case.id == "alloc.many" and target == "freebsd-base":
        return Cell(Status.CRASH, (), ("K22",), "panic: it")
    if case.id.startswith("beside."):
        return Cell(Status.NA, detail="the peer is an empty domain")
    return Cell(Status.PASS)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    every = cases.load()
    columns = [
        TargetRun(
            name, {"release": "6.1", "xen": "4.17"}, cells={c.id: _cell(name, c) for c in every}
        )
        for name in NAMES[:-1]
    ]
    columns.append(TargetRun("local", missing="local: no /dev/xen/gntalloc"))
    origin = Origin("2026-01-02 03:04 UTC", "v0.1-5-gabc", "./dev parity", "Linux 6.1 x86_64", 9.5)
    where = tmp_path_factory.mktemp("report")
    write_all(Run(every, columns, origin=origin), where)
    return where


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    paths = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if paths[0] is None or paths[1] is None:
        pytest.fail("no browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = paths[0]
    # Chromium's sandbox refuses root, and the pages are our own.
    for word in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    service = webdriver.ChromeService(paths[1])
    with webdriver.Chrome(options, service) as browser:
        browser.set_page_load_timeout(300)
        yield browser


def _open(
    driver: webdriver.Chrome,
    page: Path,
    anchor: str = "",
    size: tuple[int, int] = DESKTOP,
    scheme: str = "light",
) -> None:
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.get("about:blank")
    driver.get(f"{page.as_uri()}{anchor}")


def _shown(driver: webdriver.Chrome) -> list[str]:
    return list(driver.execute_script(SHOWN))


def test_first_screen(driver: webdriver.Chrome, report: Path) -> None:
    _open(driver, report / "index.html")
    text = driver.find_element(By.TAG_NAME, "body").text
    for words in ("2026-01-02 03:04 UTC", "v0.1-5-gabc", "./dev parity", "Linux 6.1 x86_64"):
        assert words in text
    assert "1 cell is red, and 1 target did not start." in text
    assert "local did not start: no /dev/xen/gntalloc" in text
    for name in ("parity.json", "junit.xml", "parity.tap"):
        link = driver.find_element(
            By.LINK_TEXT, {"parity.json": "JSON", "junit.xml": "JUnit"}.get(name, "TAP")
        )
        assert link.get_attribute("href") == (report / name).as_uri()
    squares = driver.find_elements(By.CSS_SELECTOR, ".map tbody tr")
    sections = {case.section for case in cases.load()}
    assert len(squares) == len(sections)
    assert len(driver.find_elements(By.CSS_SELECTOR, ".map td")) == len(sections) * len(TARGETS)
    assert driver.find_element(By.CSS_SELECTOR, ".map td.red").text.endswith(" + 1 red")
    assert driver.find_element(By.CSS_SELECTOR, ".map td.diff").text.endswith(" + 1 diff")
    assert "red on freebsd-domu" in driver.find_element(By.ID, "index.packed").text


def test_sections_that_pass_are_folded(driver: webdriver.Chrome, report: Path) -> None:
    _open(driver, report / "index.html")
    unfolded = driver.execute_script(
        "return [...document.querySelectorAll('details.section[open]')]"
        ".map(s => s.querySelector('tr.case').id.split('.')[0])"
    )
    named = {case.section for case in cases.load()
             if case.id in ("mmap.offset-unaligned", "index.packed", "alloc.many")}  # fmt: skip
    assert len(unfolded) == len(named)
    driver.get(f"{(report / 'index.html').as_uri()}#unmap.twice")
    assert driver.find_element(By.ID, "unmap.twice").is_displayed()


def test_a_difference_shows_linux_and_leads_to_its_row(
    driver: webdriver.Chrome, report: Path
) -> None:
    _open(driver, report / "index.html")
    cell = driver.find_elements(By.CSS_SELECTOR, "[id='mmap.offset-unaligned'] td.diff")[0]
    assert "Linux: EINVAL, here: ok (K3)" in cell.text
    cell.find_element(By.LINK_TEXT, "K3").click()
    assert driver.current_url == (report / "differences.html").as_uri() + "#K3"
    row = driver.find_element(By.CSS_SELECTOR, "tr:has(#K3)")
    assert "not page-aligned" in row.text and "freebsd-words" in row.text
    row.find_element(By.LINK_TEXT, "mmap.offset-unaligned").click()
    assert driver.current_url == (report / "index.html").as_uri() + "#mmap.offset-unaligned"


def test_a_rule_and_its_cases_lead_to_each_other(driver: webdriver.Chrome, report: Path) -> None:
    _open(driver, report / "index.html", "#mmap.offset-unaligned")
    row = driver.find_element(By.ID, "mmap.offset-unaligned")
    row.find_element(By.LINK_TEXT, "P2").click()
    assert driver.current_url == (report / "abi.html").as_uri() + "#P2"
    rule = driver.find_element(By.CSS_SELECTOR, "tr:has(#P2)")
    rule.find_element(By.LINK_TEXT, "mmap.offset-unaligned").click()
    assert driver.current_url == (report / "index.html").as_uri() + "#mmap.offset-unaligned"


def test_filters_are_in_the_address(driver: webdriver.Chrome, report: Path) -> None:
    page = report / "index.html"
    _open(driver, page)
    everything = _shown(driver)
    assert len(everything) == len(cases.load())
    driver.find_element(By.ID, "unequal").click()
    three = ["index.packed", "mmap.offset-unaligned", "alloc.many"]
    assert sorted(_shown(driver)) == sorted(three)
    address = driver.current_url
    _open(driver, page, address.partition("#")[1] + address.partition("#")[2])
    assert sorted(_shown(driver)) == sorted(three)
    _open(driver, page, "#target=freebsd-domu&status=diff,fail")
    assert _shown(driver) == ["index.packed", "mmap.offset-unaligned"]
    heads = driver.find_elements(By.CSS_SELECTOR, "[id='index.packed'] td")
    assert [cell.is_displayed() for cell in heads].count(True) == 2
    _open(driver, page, "#target=freebsd-domu&status=fail")
    assert _shown(driver) == ["index.packed"]
    _open(driver, page, "#target=linux-pvh&status=fail")
    assert _shown(driver) == []
    _open(driver, page, "#find=K3")
    assert _shown(driver) == ["mmap.offset-unaligned"]
    box = driver.find_element(By.NAME, "find")
    box.clear()
    box.send_keys("unmap.twice")
    assert driver.current_url.endswith("#find=unmap.twice")
    assert _shown(driver) == ["unmap.twice", "unmap.twice-while-mapped"]
    # A link to a case that the filter hides still shows it.
    driver.execute_script("location.hash = '#mmap.offset-unaligned'")
    assert driver.find_element(By.ID, "mmap.offset-unaligned").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "differences.html", "abi.html"])
def test_contrast(driver: webdriver.Chrome, report: Path, name: str, scheme: str) -> None:
    _open(driver, report / name, scheme=scheme)
    back = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (scheme == "light")
    ratio, whose = driver.execute_script(CONTRAST)
    assert ratio >= 4.5, whose


@pytest.mark.parametrize("name", ["index.html", "differences.html", "abi.html"])
def test_a_telephone_shows_eleven_columns(
    driver: webdriver.Chrome, report: Path, name: str
) -> None:
    _open(driver, report / name, size=PHONE)
    wide = driver.execute_script("return document.documentElement.scrollWidth")
    assert wide <= PHONE[0], "the page itself scrolls sideways"
    small = driver.execute_script(
        "return Math.min(...[...document.body.querySelectorAll('td, th, p, dd')]"
        ".map(element => parseFloat(getComputedStyle(element).fontSize)))"
    )
    assert small >= 12
    if name == "index.html":
        square = driver.find_element(By.CSS_SELECTOR, ".map tbody tr")
        assert (
            square.size["height"] <= 100
            and square.find_element(By.TAG_NAME, "th").size["width"] >= 100
        )
        row = "[id='mmap.offset-unaligned'] "
        widths = driver.execute_script(
            f'return [...document.querySelectorAll("{row}td")].map(cell => cell.offsetWidth)'
        )
        assert len(widths) == len(TARGETS) + 1 and min(widths) >= 100
        # The case's name stays visible while its row is scrolled.
        left = driver.execute_script(
            f'const row = document.querySelector("{row}"); const box = row.closest(".scroll");'
            "box.scrollLeft = 600;"
            "return [box.scrollLeft, row.cells[0].getBoundingClientRect().left]"
        )
        assert left[0] == 600 and left[1] >= 0
