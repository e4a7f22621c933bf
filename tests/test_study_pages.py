"""The study's pages in a browser: filled in, left half-way, reloaded, typed through, on a phone, read back."""

import json
import shutil

import pytest
from test_site import BROKEN, FLAGS, WIDTH, asked, wait
from test_study import METHODS, sections

from sightglass import study

LOOKS = {"ratings": ("welcome", "words", "references", "subset", "describe", "people", "finish"),
         "choice": ("welcome", "demonstration", "classes", "inner", "finish")}  # fmt: skip
NAMES = "return [...new Set([...document.querySelectorAll('form [name]')].map(i => i.name))]"
ARGUE = "return document.querySelector('.problem[role=alert]').textContent"
PAGE = "return location.hash"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return study.build_study(folder / "site", study.write_items(folder / "items", sections()), contact="ann")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """Start Chromium with a profile and a folder for downloads, or skip and say why."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("no browser: `apt-get install chromium chromium-driver` brings one")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture
def browser(chromium, site, tmp_path):
    """Give a browser without answers of earlier tests; what it saves lands in `tmp_path`."""
    how = {"behavior": "allow", "downloadPath": str(tmp_path)}
    chromium.execute_cdp_cmd("Browser.setDownloadBehavior", how)
    chromium.get((site / "index.html").as_uri())
    chromium.execute_script("localStorage.clear()")
    asked(chromium), chromium.get_log("browser")
    yield chromium
    errors = [e["message"] for e in chromium.get_log("browser") if e["level"] == "SEVERE"]
    outside = [url for url in asked(chromium) if not url.startswith(("file:", "data:", "blob:", "chrome:"))]
    assert not errors and not outside


def visit(browser, site, page, query=""):
    browser.get("about:blank")  # else a new hash alone wouldn't load the page
    browser.get(f"{(site / page).as_uri()}{query}")
    wait(browser, "return document.readyState == 'complete' && !!document.querySelector('form')")


def pick(browser, name, value):
    """Click the label of one option, as a person would."""
    mark = f"form input[name={json.dumps(name)}][value={json.dumps(str(value))}]"
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", find(browser, mark))
    find(browser, mark).find_element("xpath", "..").click()


def find(browser, mark):
    return browser.find_element("css selector", mark)


def go_on(browser):
    find(browser, "#next").click()


def fill(browser, values):
    """Answer everything on a page by a function of the field's name; return what was answered."""
    given = {name: values(name) for name in browser.execute_script(NAMES)}
    for name, value in given.items():
        if name.startswith("describe/"):
            find(browser, "#word").send_keys(value)
        else:
            pick(browser, name, value)
    return given


def finished(browser):
    return browser.execute_script("return !!document.getElementById('save')")


def complete(browser, values):
    """Answer page after page to the end; return all that was answered and where each page stood."""
    given, before = {}, None
    while not finished(browser):
        given |= fill(browser, values)
        go_on(browser)
        assert browser.execute_script(PAGE) != before, browser.execute_script(ARGUE)
        before = browser.execute_script(PAGE)
    return given


def saved(browser, folder):
    """Save the answers and read the folder back as tables."""
    find(browser, "#save").click()
    wait(browser, "return document.getElementById('saved').textContent.startsWith('Saved as ')")
    name = find(browser, "#saved").text.split()[2].rstrip(",")
    for _ in range(100):
        if (folder / name).is_file():
            break
        browser.execute_async_script("setTimeout(arguments[0], 50)")
    return study.read(folder, programs=True)


def rating(name):
    """Answer the first study so that each answer can be told from the others."""
    if name in ("subset", "age", "gender"):
        return {"subset": 1, "age": "35-44", "gender": "other"}[name]
    section, question, method = name.split("/")
    return "a cat" if section == "describe" else (METHODS.index(method) * 2 + len(question)) % 5 + 1


def test_ratings_are_filled_in_and_read_back(browser, site, tmp_path):
    visit(browser, site, "ratings.html")
    given = complete(browser, rating)
    assert "ann" in find(browser, "form").text
    found = saved(browser, tmp_path)
    answers = {"/".join(r[["section", "question", "method"]]): r for _, r in found.answers.iterrows()}
    assert set(answers) == set(given) - {"subset", "age", "gender"}
    assert all(r["word"] == "a cat" if n.startswith("describe") else r["score"] == given[n] for n, r in answers.items())
    # subset 1: the first question is shown with the second method, the second with the third ...
    described = found.of("describe").set_index("question")["method"].to_dict()
    assert described == dict(zip(("owl", "car", "bee"), (*METHODS[1:], METHODS[0]), strict=True))
    (person,) = found.people.to_dict("records")
    assert (person["subset"], person["age"], person["gender"]) == ("$", "35-44", "other")
    assert sorted(found.of("words").groupby("question")["position"].apply(tuple).map(sorted)) == [[1, 2, 3]] * 2
    # a person's browser doesn't say that it is driven by a program; this one is, and is left out
    assert not len(study.read(tmp_path).people) and "by a program" in study.read(tmp_path).left_out[0]


def preference(name):
    return {"choice": "other" if "owl" in name else "preferred", "sure": 2}[name.split("/")[0]]


def test_choices_are_filled_in_and_read_back(browser, site, tmp_path):
    visit(browser, site, "choice.html")
    complete(browser, preference)
    found = saved(browser, tmp_path)
    assert found.of("classes").set_index("question")["correct"].to_dict() == {"bus": 1, "owl": 0}
    assert len(found.of("inner")) == 1 and (found.answers["confidence"] == 2).all()
    assert set(found.answers["position"]) <= {1, 2} and found.count("choice") == 1


def test_the_example_tells_who_was_right(browser, site):
    visit(browser, site, "choice.html", "?look=demonstration")
    pick(browser, "choice/demonstration", "other")
    assert find(browser, "#verdict").text == "No: the network prefers the other one."
    pick(browser, "choice/demonstration", "preferred")
    assert find(browser, "#verdict").text.startswith("Right")


def test_an_incomplete_page_is_refused_in_words(browser, site):
    visit(browser, site, "ratings.html")
    go_on(browser)
    go_on(browser)
    assert browser.execute_script(ARGUE) == "Pictures A, B and C still need a rating."
    first, second, _ = browser.execute_script(NAMES)
    assert browser.execute_script("return document.activeElement.name") == first
    pick(browser, first, 2), pick(browser, second, 5)
    assert browser.execute_script(ARGUE) == ""
    go_on(browser)
    assert browser.execute_script(ARGUE) == "Picture C still needs a rating." and browser.execute_script(PAGE) == "#1"
    browser.execute_script("location.hash = '#9'")  # nor by its address
    wait(browser, "return location.hash == '#1'")


def test_words_are_refused_when_empty_or_long(browser, site):
    visit(browser, site, "ratings.html")
    browser.execute_script("""
      for (const page of pages()) for (const field of page.fields || [])
        if (page.kind !== 'describe') note(field.name, field.name === 'subset' ? '0' : '3');
      location.hash = '#' + pages().findIndex(page => page.kind === 'describe');""")
    wait(browser, "return !!document.getElementById('word')")
    go_on(browser)
    assert browser.execute_script(ARGUE) == "Please write a word; a guess is welcome."
    find(browser, "#word").send_keys("  ")
    go_on(browser)
    assert "Please write a word" in browser.execute_script(ARGUE)
    find(browser, "#word").send_keys("a very big owl\n")
    assert "three at most" in browser.execute_script(ARGUE)
    before = browser.execute_script(PAGE)
    find(browser, "#word").clear()
    find(browser, "#word").send_keys("owl\n")
    wait(browser, f"return location.hash != {json.dumps(before)}")


def test_answers_and_orders_outlive_a_reload(browser, site):
    visit(browser, site, "ratings.html")
    go_on(browser)
    names = browser.execute_script(NAMES)
    pick(browser, names[1], 4)
    for again in ("#1", ""):  # the same address, and the study opened anew
        visit(browser, site, "ratings.html", again)
        assert browser.execute_script(NAMES) == names and browser.execute_script(PAGE) == "#1"
        assert browser.execute_script("return document.querySelector('form :checked').value") == "4"
    find(browser, "#back").click()
    assert browser.execute_script(PAGE) == "#0"
    browser.back()
    wait(browser, "return location.hash == '#1'")


def test_the_keyboard_is_enough(browser, site, tmp_path):
    from selenium.webdriver import ActionChains, Keys

    keys = lambda *pressed: ActionChains(browser).send_keys(*pressed).perform()  # noqa: E731
    visit(browser, site, "ratings.html")
    keys(Keys.ENTER)
    names = browser.execute_script(NAMES)
    keys("2", "5", "1")
    scores = [browser.execute_script("return answer(arguments[0])", name) for name in names]
    assert scores == ["2", "5", "1"] and browser.execute_script("return document.activeElement.id") == "next"
    keys(Keys.ENTER)
    wait(browser, "return location.hash == '#2'")
    visit(browser, site, "choice.html")
    keys(Keys.ENTER, "a", Keys.ENTER, "b", "3", Keys.ENTER, "a", "1", Keys.ENTER, "b", "2", Keys.ENTER)
    wait(browser, "return !!document.getElementById('save')")
    found = saved(browser, tmp_path)
    assert found.answers.sort_values(["section", "order"])["position"].tolist() == [2, 1, 2]
    assert found.answers.sort_values(["section", "order"])["confidence"].tolist() == [3, 1, 2]


def test_orders_are_fair_and_differ_between_participants(browser, site):
    visit(browser, site, "ratings.html", "?look=words")
    count = """
      const found = {};
      for (let i = 0; i < 1200; i++) {
        state.participant = 'p' + i;
        const order = shuffled(['a', 'b', 'c'], 'words/zebra').join('');
        found[order] = (found[order] || 0) + 1;
      }
      return Object.values(found);"""
    orders = browser.execute_script(count)
    assert len(orders) == 6 and all(150 < n < 250 for n in orders)  # 200 each, 13 of standard deviation


def test_another_person_starts_afresh_but_nothing_is_lost_unasked(browser, site):
    visit(browser, site, "choice.html")
    complete(browser, preference)
    first = browser.execute_script("return state.participant")
    find(browser, "#again").click()
    assert "aren't saved yet" in find(browser, "#again").text and finished(browser)
    find(browser, "#again").click()
    wait(browser, "return location.hash == '#0'")
    assert browser.execute_script("return state.participant") != first
    assert browser.execute_script("return Object.keys(state.answers).length") == 0


def test_a_browser_that_keeps_nothing_says_so(browser, site):
    block = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('blocked'); }});"
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": block})
    try:
        visit(browser, site, "choice.html")
        assert "keeps nothing" in find(browser, ".note").text
        complete(browser, preference)
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


@pytest.mark.parametrize("width", [320, 390, 1100])
def test_every_page_fits_and_tells_nothing(browser, site, width):
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    try:
        for name, looks in LOOKS.items():
            for look in looks:
                visit(browser, site, f"{name}.html", f"?look={look}")
                wait(browser, "return [...document.images].every(i => i.complete)")
                assert browser.execute_script(WIDTH) <= width, look
                assert not browser.execute_script(BROKEN)
                words = browser.execute_script("return document.querySelector('main').textContent")
                shown = browser.execute_script("return [...document.images].map(i => i.alt + i.src).join()")
                assert not any(method in words + shown for method in METHODS)
        assert browser.execute_script("return localStorage.length") == 0  # looking keeps nothing
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_books_picture_of_a_page_is_drawn_by_the_browser(chromium, site):
    figure, by_browser = study.page_figure(site, "words")
    assert by_browser and figure.get_figwidth() == 8
    assert figure.axes[0].images[0].get_array().std() > 5
