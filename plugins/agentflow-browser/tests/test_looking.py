"""Snapshots, references, finding, reading, screenshots."""

from __future__ import annotations

import re
from io import BytesIO

import pytest

from agentflow_core.records import ImageContent


def ref_of(text, name):
    """The reference on the line with this name."""
    return next(re.search(r"\[ref=(\S+?)\]", line)[1] for line in text.splitlines() if name in line and "[ref=" in line)


async def test_a_page_is_a_tree_of_roles_names_and_states(site, browse):
    site.pages["/"] = """<title>Shop</title><nav><a href="/a b">Home</a></nav><h2>Teas</h2>
      <form><label>Your name <input value=Ann required></label><input type=checkbox aria-label=Hot checked>
      <select aria-label=Kind><option>green<option selected>black</select><button disabled>Buy</button></form>
      <table><tr><th>Tea<th>Price<tr><td>Assam<td>3.50</table><img alt="A cup" src=data:,><p hidden>unseen</p>
      <p style="display:none">unseen</p><p aria-hidden=true>unseen</p><p>Some <b>bold</b> words</p>"""
    async with browse() as do:
        result = await do("navigate", url=site.url)
    assert result.text.startswith(f"Shop\n{site.url}/\n\n- navigation")
    for line in (
        '- link "Home" [ref=g1e2] [url=/a%20b]',
        '- heading "Teas" [level=2]',
        '- textbox "Your name" [required] [ref=g1e5]: "Ann"',
        '- checkbox "Hot" [checked]',
        '- option "black" [selected]',
        '- button "Buy" [disabled]',
        '- row: "Assam | 3.50"',
        '- img "A cup"',
        '- paragraph: "Some bold words"',
    ):
        assert line in result.text
    assert "unseen" not in result.text
    assert result.data["generation"] == 1
    assert result.data["status"] == 200
    assert result.data["sources"] == [{"start": 0, "end": len(result.text), "url": f"{site.url}/"}]


async def test_frames_and_shadow_roots_are_seen_and_acted_on(site, browse):
    site.pages["/"] = """<iframe title=Inner src=/inner></iframe><div id=host></div><script>
      document.querySelector('#host').attachShadow({mode: 'open'}).innerHTML = '<button onclick="this.textContent=`Pressed`">In shadow</button>'</script>"""
    site.pages["/inner"] = """<button onclick="this.textContent='Done'">In frame</button>"""
    async with browse() as do:
        seen = await do("navigate", url=site.url)
        assert 'iframe "Inner"' in seen.text
        framed, shadowed = ref_of(seen.text, "In frame"), ref_of(seen.text, "In shadow")
        assert framed.startswith("g1f1e")
        assert '"Done"' in (await do("click", ref=framed)).text
        assert '"Pressed"' in (await do("click", ref=shadowed)).text


async def test_a_page_of_100000_nodes_is_cut_in_the_page_and_can_be_gone_through(site, browse):
    site.pages["/"] = (
        "<title>Large</title><body><script>document.body.innerHTML = Array.from({length: 50000}, (_, n) => `<p>line <a href='/${n}'>link ${n}</a></p>`).join('')</script>"
    )
    async with browse(action_timeout_s=60, settle_s=10) as do:
        seen = await do("navigate", url=site.url)
        assert seen.ok, seen.text
        assert len(seen.text) < 21_000
        assert seen.data["elements"] > 100_000
        assert seen.data["truncated"]
        more = await do("snapshot", cursor=seen.data["next"])
        last = re.findall(r"link (\d+)", seen.text)[-1]
        assert f"link {int(last) + 1}" in more.text
        assert f'"link {last}"' not in more.text
        found = await do("find", name="link 49999")
        clicked = await do("click", ref=found.data["matches"][0]["ref"])
        assert clicked.data["url"].endswith("/49999")


async def test_a_stale_reference_is_told_at_once_with_what_is_like_it(site, browse):
    site.pages["/"] = (
        """<button onclick="this.remove(); document.body.innerHTML += '<button>Save changes</button>'">Save</button><a href=/b>go</a>"""
    )
    site.pages["/b"] = "<button>Saved</button>"
    async with browse() as do:
        seen = await do("navigate", url=site.url)
        old = ref_of(seen.text, '"Save"')
        await do("click", ref=old)
        stale = await do("click", ref=old)
        assert stale.code == "stale_ref"
        assert stale.data["candidates"][0]["name"] == "Save changes"
        await do("navigate", url=f"{site.url}/b")
        assert (await do("click", ref=old)).code == "stale_ref"
        assert (await do("click", ref="nonsense")).code == "invalid_argument"


async def test_a_reference_to_an_element_that_became_another_is_stale(site, browse):
    site.pages["/"] = (
        """<button id=b>Delete draft</button><button onclick="b.textContent='Delete everything'">Swap</button>"""
    )
    async with browse() as do:
        seen = await do("navigate", url=site.url)
        draft = ref_of(seen.text, "Delete draft")
        await do("click", ref=ref_of(seen.text, "Swap"))
        stale = await do("click", ref=draft)
        assert stale.code == "stale_ref"
        assert "Delete everything" in stale.text


async def test_unchanged_elements_keep_their_references_and_changes_are_told(site, browse):
    site.pages["/"] = """<ul id=l></ul><button onclick="l.innerHTML += '<li>item'">Add</button>"""
    async with browse() as do:
        seen = await do("navigate", url=site.url)
        add = ref_of(seen.text, "Add")
        clicked = await do("click", ref=add)
        assert clicked.data["effect"] == {
            "navigated": False,
            "dialog": None,
            "download": None,
            "new_tab": None,
            "changed": True,
        }
        assert '+   - listitem: "item"' in clicked.text
        assert (await do("click", ref=add)).ok
        assert "No change" in (await do("snapshot", mode="diff")).text


async def test_parts_and_interactive_elements_can_be_asked_for(site, browse):
    site.pages["/"] = (
        "<main aria-label=Left><p>words<button>One</button></main><form aria-label=Right><button>Two</button></form>"
    )
    async with browse() as do:
        seen = await do("navigate", url=site.url)
        part = await do("snapshot", ref=ref_of(seen.text, "Right"))
        assert "Two" in part.text
        assert "One" not in part.text
        active = await do("snapshot", mode="interactive")
        assert "words" not in active.text
        assert {"One", "Two"} <= set(re.findall(r'button "(\w+)"', active.text))


async def test_finding_gives_references_and_their_surroundings(site, browse):
    site.pages["/"] = "<ul><li>Assam <button>Buy</button><li>Ceylon <button>Buy</button></ul><h1>Price: 12 EUR</h1>"
    async with browse() as do:
        await do("navigate", url=site.url)
        assert len((await do("find", role="button", name="buy")).data["matches"]) == 2
        assert "Ceylon" in (await do("find", text="ceylon")).text
        assert (await do("find", regex=r"\d+ EUR")).data["matches"][0]["role"] == "heading"
        assert (await do("find", text="Darjeeling")).code == "not_found"
        assert (await do("find")).code == "invalid_argument"
        assert "regex" in (await do("find", regex="(")).message


async def test_the_main_text_is_read_as_markdown_in_pages(site, browse):
    words = "Tea is made of leaves. " * 40
    site.pages["/"] = f"""<nav>Menu</nav><main><h1>Tea</h1><p>{words}<a href=/more>More</a></p>
      <table><tr><th>Name<th>Price<tr><td>Assam<td>3</table><ol><li>boil<li>pour</ol><pre>x = 1</pre></main>"""
    async with browse() as do:
        await do("navigate", url=site.url)
        read = await do("read")
        assert "# Tea" in read.text
        assert f"[More]({site.url}/more)" in read.text
        assert "| Assam | 3 |" in read.text
        assert "1. boil\n2. pour" in read.text
        assert "Menu" not in read.text
        assert {"text": "More", "url": f"{site.url}/more"} in read.data["links"]
        first, second = await do("read", max_chars=500), await do("read", max_chars=500, page=2)
        assert len(first.text.partition("\n\n")[2]) == 500
        assert second.ok
        assert (await do("read", page=99)).code == "not_found"


async def test_a_screenshot_has_marks_where_they_are_asked_for(site, browse, needed):
    image = needed("PIL.Image")
    site.pages["/"] = "<button style='position:fixed;left:100px;top:50px;width:200px;height:80px'>Big</button>"
    async with browse(session={"viewport": {"width": 640, "height": 480}}) as do:
        await do("navigate", url=site.url)
        plain, marked, after = [await do("screenshot", marks=marks) for marks in (False, True, False)]
    shots = [next(part for part in each.content if isinstance(part, ImageContent)) for each in (plain, marked, after)]
    assert image.open(BytesIO(shots[0].data)).size == (640, 480)
    assert marked.data["marks"] == [{"ref": "g1e1", "box": [100, 50, 200, 80]}]
    assert shots[1].data != shots[0].data
    assert shots[2].data == shots[0].data


@pytest.mark.parametrize("text", ["\x1b[31mred", "two\nlines [ref=g1e1]", '"quoted" [ref=g9e9]'])
async def test_what_a_page_says_cannot_look_like_a_line_of_ours(site, browse, text):
    site.pages["/"] = "<button id=b></button>"
    async with browse(allow_evaluate=True) as do:
        await do("navigate", url=site.url)
        await do("evaluate", script=f"b.textContent = {text!r}")
        seen = await do("snapshot")
    body = seen.text.partition("\n\n")[2]
    assert len(body.splitlines()) == 1
    assert body.startswith('- button "')
    assert "\x1b" not in seen.text
