import base64
import re

from playwright.sync_api import expect


def cards(page):
    """Return the cards of the results, in order."""
    return page.locator('[class*="st-key-es-card-"]')


def distances(page):
    """Return the distances shown, in order, once there are some."""
    shown = page.locator(".es-distance")
    expect(shown.first).to_be_visible()
    return [float(text) for text in shown.all_inner_texts()]


def texts(page):
    """Return what the cards show, without their buttons."""
    return page.locator('[class*="st-key-es-card-"] .es-body').all_inner_texts()


def ask(page, label, text):
    """Type into the box called `label` and press Enter."""
    box = page.locator(f'input[aria-label="{label}"]')
    box.fill(text)
    box.press("Enter")


def test_a_typed_query_finds_the_right_text_first(page, address):
    """A query typed by hand shows the most related text first, with ascending distances."""
    page.goto(f"{address}/?index=faq")
    ask(page, "What do you look for?", "give me back what I paid")
    expect(cards(page).first).to_contain_text("money back")
    expect(page.locator(".es-distance")).to_have_count(10)
    found = distances(page)
    assert found == sorted(found)


def test_a_reload_and_a_link_show_the_same_result(page, address, browser):
    """The address holds index, query, filter and number of results: a reload shows the same cards."""
    page.goto(f"{address}/?index=faq&k=3&where=weight+%3E+2")
    ask(page, "What do you look for?", "refund")
    expect(cards(page)).to_have_count(3)
    expect(cards(page).first).to_contain_text("refund")
    before = texts(page)
    page.reload()
    expect(cards(page)).to_have_count(3)
    assert texts(page) == before
    other = browser.new_page()
    other.goto(page.url)
    expect(cards(other)).to_have_count(3)
    assert texts(other) == before
    other.close()


def test_a_picture_is_uploaded_and_found(page, address, pictures):
    """An uploaded picture finds itself at distance 0, and the link still shows it after a reload."""
    page.goto(f"{address}/?index=shapes")
    page.locator('input[type="file"]').set_input_files(pictures / "disc" / "seagreen.png")
    expect(cards(page).first).to_contain_text("seagreen.png")
    assert distances(page)[0] < 0.001
    before = distances(page)
    assert "image=" in page.url
    page.reload()
    expect(cards(page).first).to_contain_text("seagreen.png")
    assert distances(page) == before


def test_a_picture_is_pasted(page, address, pictures):
    """A picture pasted anywhere on the page is searched with."""
    page.goto(f"{address}/?index=shapes")
    expect(page.get_by_role("button", name="Paste")).to_be_visible()
    data = base64.b64encode((pictures / "square" / "orange.png").read_bytes()).decode()
    page.evaluate(
        """data => {
            const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "pasted.png", {type: "image/png"}));
            document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true}));
        }""",
        data,
    )
    expect(cards(page).first).to_contain_text("orange.png")
    assert distances(page)[0] < 0.001


def test_a_clicked_word_finds_its_own_sense(page, address):
    """A word clicked in its sentence finds the word in the same sense, marked in its sentence."""
    page.goto(f"{address}/?index=terms")
    ask(page, "A sentence with the word you mean", "We sat on the bank and looked at the river.")
    page.get_by_test_id("stButtonGroup").get_by_text("bank", exact=True).click()
    expect(cards(page).first.locator("mark")).to_have_text("bank")
    expect(cards(page).first).to_contain_text(re.compile("river|water"))
    ask(page, "A sentence with the word you mean", "The bank lends money.")
    page.get_by_test_id("stButtonGroup").get_by_text("bank", exact=True).click()
    expect(cards(page).first).to_contain_text("account")


def test_more_like_this_leaves_the_item_out(page, address):
    """More like this shows the item, its neighbours without itself, and the way back."""
    page.goto(f"{address}/?index=faq&q=refund")
    expect(cards(page).first).to_contain_text("refund")
    first = "I want a refund for my order."
    cards(page).filter(has_text=first).get_by_role("button", name="More like this").click()
    expect(page.locator(".es-asked")).to_contain_text(first)
    expect(cards(page)).to_have_count(9)
    assert not any(first in text for text in texts(page))
    page.get_by_role("button", name="Back to").click()
    expect(cards(page)).to_have_count(10)


def test_filters_keep_what_fits(page, address):
    """A value chosen for a field and a typed condition both hold."""
    page.goto(f"{address}/?index=faq&q=help")
    expect(cards(page)).to_have_count(10)
    page.get_by_label("topic").click()
    page.get_by_role("option", name="login (3)").click()
    expect(cards(page)).to_have_count(3)
    page.keyboard.press("Escape")
    ask(page, "Condition", "weight > 5")
    expect(cards(page)).to_have_count(2)
    ask(page, "Condition", "weigth > 5")
    expect(page.get_by_text("Did you mean 'weight'?")).to_be_visible()


def test_markup_of_a_source_is_text(page, address):
    """HTML, Markdown, formulas and emoji codes of a source appear as they are written."""
    page.goto(f"{address}/?index=faq&q=script+bold&k=6")
    odd = cards(page).filter(has_text="<script>")
    expect(odd).to_contain_text("<script>alert(1)</script> **bold** $x$ :smile: <b>cards</b>")
    assert page.locator(".es-body b").count() == 0
    page.goto(f"{address}/?index=shapes")
    expect(cards(page).filter(has_text="onerror")).to_contain_text(
        "<img src=x onerror=alert(1)> a **red** disc"
    )


def test_an_address_that_says_nonsense_gets_a_sentence(page, address):
    """Unknown indexes, items, words, pictures and numbers give a sentence, never a traceback."""
    for query, said in (
        ("index=nope", "There is no index 'nope'"),
        ("index=../faq", "can't name an index"),
        ("index=faq&k=abc&q=x", "k=abc"),
        ("index=faq&k=99999&q=x", "1 to 200"),
        ("index=faq&item=nope", "no item 'nope'"),
        ("index=terms&q=two+words&word=99", "no word 99"),
        ("index=shapes&image=../../etc/passwd", "none that this page has kept"),
        ("index=shapes&image=" + "0" * 32, "no longer kept"),
        ("index=faq&q=x&where=1%3D", "can't be understood"),
    ):
        page.goto(f"{address}/?{query}")
        expect(page.get_by_test_id("stAlert").filter(has_text=said).first).to_be_visible()


def test_two_texts_are_compared(page, address):
    """The Compare page shows the distance of two texts, and equal texts are at 0."""
    page.goto(f"{address}/compare?a=a+cat+sleeps&b=a+cat+sleeps")
    answer = page.locator(".es-answer strong")
    expect(answer).to_have_text("0.0000")
    page.goto(f"{address}/compare?a=a+cat+sleeps&b=a+kitten+naps")
    expect(answer).not_to_have_text("0.0000")
    near = float(answer.inner_text())
    page.goto(f"{address}/compare?a=a+cat+sleeps&b=the+price+of+oil")
    expect(answer).not_to_have_text(f"{near:.4f}")
    assert 0 < near < float(answer.inner_text())


def test_a_phone_needs_no_sideways_scrolling(browser, address):
    """On a screen of 390 pixels nothing is wider than the screen, in both themes."""
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme)
        page = context.new_page()
        for query in ("index=faq&q=refund", "index=shapes", "index=terms&q=the+bank+of+the+river&word=2"):
            page.goto(f"{address}/?{query}")
            expect(cards(page).first).to_be_visible()
            assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
        context.close()


def test_a_new_build_is_picked_up_by_a_running_page(page, address, indexes):
    """A build published while the page runs answers the next query, without a restart."""
    import embedsearch as es

    page.goto(f"{address}/?index=faq&q=refund")
    expect(cards(page)).to_have_count(10)
    source = indexes.parent / "faq.csv"
    before = source.read_text(encoding="utf-8")
    source.write_text(before + "Refund refund refund!,refund,11\n", encoding="utf-8")
    try:
        es.rebuild("faq", indexes=indexes)
        page.reload()
        expect(cards(page).first).to_contain_text("Refund refund refund!")
    finally:
        source.write_text(before, encoding="utf-8")
        es.rebuild("faq", indexes=indexes)
