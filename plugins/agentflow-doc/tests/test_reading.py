"""What the tools give of each kind of document."""

from __future__ import annotations

import io

import pypdfium2
import pytest
from PIL import Image

from agentflow_core.records import ImageContent


def assert_located(result):
    """Every source lies in the text, and tells its document and page."""
    assert result.data["sources"]
    for source in result.data["sources"]:
        assert 0 <= source["start"] < source["end"] <= len(result.text)
        assert source["doc"]
        assert source["page"] >= 1


def text_in_box(path, page, box):
    """What PDFium sees in a box, from the upper left corner of a page that is not turned."""
    document = pypdfium2.PdfDocument(path)
    shown = document[page - 1]
    height = shown.get_height()
    text = shown.get_textpage().get_text_bounded(box[0] - 1, height - box[3] - 1, box[2] + 1, height - box[1] + 1)
    document.close()
    return " ".join(text.split())


async def test_documents_are_listed_with_titles_and_pages(make, opened):
    make.report()
    make.word()
    async with opened() as sandbox:
        result = await sandbox.execute("doc:list")
    assert result.text == "garden.docx: Garden guide, docx, 2 pages\nreport.pdf: Harbour report, pdf, 3 pages"
    assert [row["doc"] for row in result.data["documents"]] == ["garden.docx", "report.pdf"]


async def test_an_outline_has_the_headings_with_their_pages(make, opened):
    make.report()
    async with opened() as sandbox:
        result = await sandbox.execute("doc:outline", {"doc": "report.pdf"})
        every = await sandbox.execute("doc:outline")
    sections = result.data["sections"]
    assert {"title": "2. Traffic of zone 2", "level": 1, "pages": [2, 2]} in sections
    assert [section["title"] for section in sections if section["level"] == 2] == ["Cranes"] * 3
    assert every.data["documents"][0]["doc"] == "report.pdf"


async def test_bookmarks_are_the_outline_where_there_are_any(make, opened):
    make.bookmarked([("Birds", 0), ("Herons", 1), ("Seals", 0)])
    async with opened() as sandbox:
        result = await sandbox.execute("doc:outline", {"doc": "marked.pdf"})
        read = await sandbox.execute("doc:read", {"doc": "marked.pdf", "section": "Herons"})
    assert result.data["sections"] == [
        {"title": "Birds", "level": 1, "pages": [1, 2]},
        {"title": "Herons", "level": 2, "pages": [2, 2]},
        {"title": "Seals", "level": 1, "pages": [3, 3]},
    ]
    assert "All about herons." in read.text
    assert "seals" not in read.text


async def test_a_hit_names_the_page_and_the_box_in_which_its_text_stands(make, opened):
    path = make.report()
    async with opened() as sandbox:
        result = await sandbox.execute("doc:search", {"query": "3 cranes painted grey", "k": 3})
    hit = result.data["hits"][0]
    assert result.text.startswith("[1] Harbour report, p. 3 (doc: report.pdf)\n")
    assert (hit["page"], hit["section"]) == (3, "Cranes")
    assert_located(result)
    quote = "There are 3 cranes, and each of them was painted grey."
    at = result.text.index(quote)
    inner = next(one for one in result.data["sources"] if one["start"] <= at and at + len(quote) <= one["end"])
    assert text_in_box(path, inner["page"], inner["box"]) == quote


async def test_reading_gives_headings_tables_and_figures_in_order(make, opened):
    make.report()
    async with opened() as sandbox:
        result = await sandbox.execute("doc:read", {"doc": "report.pdf", "pages": "2"})
    text = result.text
    assert text.startswith(
        "Harbour report (doc: report.pdf), page 2\n\n# 2. Traffic of zone 2\n\nZone 2 handled 1002 tonnes of"
    )
    order = [
        "## Cranes",
        "Table 2: Cargo by region.",
        "| North | 120 | 140 |",
        "[figure 1 on page 2]",
        "Figure 2: Visits",
    ]
    assert sorted(map(text.index, order)) == [text.index(part) for part in order]
    assert result.data["tables"][0]["caption"] == "Table 2: Cargo by region."
    assert result.data["figures"][0]["caption"] == "Figure 2: Visits by place."
    assert_located(result)


async def test_a_row_of_a_table_has_a_box_of_its_own(make, opened):
    path = make.report()
    async with opened() as sandbox:
        result = await sandbox.execute("doc:table", {"doc": "report.pdf", "page": 1})
    assert result.data["columns"] == ["Region", "2022", "2023"]
    assert result.data["rows"] == [["North", "120", "140"], ["South", "80", "75"]]
    source = next(
        one for one in result.data["sources"] if result.text[one["start"] : one["end"]] == "| South | 80 | 75 |"
    )
    assert text_in_box(path, 1, source["box"]) == "South 80 75"


async def test_a_table_without_lines_is_found_by_its_columns(make, opened):
    rows = [
        ["Product", "Units", "Price"],
        ["Lantern", "1,200", "14.50"],
        ["Rope", "880", ""],
        ["Anchor", "95", "210.00"],
    ]
    make.bare_table(rows)
    async with opened() as sandbox:
        result = await sandbox.execute("doc:table", {"doc": "bare.pdf", "page": 1})
        read = await sandbox.execute("doc:read", {"doc": "bare.pdf"})
    assert [result.data["columns"], *result.data["rows"]] == rows
    assert "• First item.\n\n• Second item that goes on. Second item that goes on." in read.text


async def test_a_section_is_read_from_its_heading_to_the_next(make, opened):
    make.report()
    async with opened() as sandbox:
        whole = await sandbox.execute("doc:read", {"doc": "report.pdf", "section": "Traffic of zone 2"})
        numbered = await sandbox.execute("doc:read", {"doc": "report.pdf", "section": "3"})
        unknown = await sandbox.execute("doc:read", {"doc": "report.pdf", "section": "Trafic of zone 2."})
    assert whole.data["section"] == "2. Traffic of zone 2"
    assert "1002 tonnes" in whole.text
    assert "1001" not in whole.text
    assert "1003" not in whole.text
    assert "1003 tonnes" in numbered.text
    assert unknown.code == "not_found"


async def test_two_columns_are_read_one_after_the_other(make, opened):
    make.columns()
    async with opened() as sandbox:
        result = await sandbox.execute("doc:read", {"doc": "columns.pdf"})
    order = [result.text.index(f"{column}{number} begins.") for column in "AB" for number in range(4)]
    assert order == sorted(order)
    assert "Words of the column go on. Words of the column go on." in result.text


@pytest.mark.parametrize("rotate", [90, 180, 270])
async def test_boxes_of_a_rotated_page_are_those_that_one_sees(make, opened, rotate):
    path = make.plain("turned.pdf", ["The seal sleeps on the pier."])
    document = pypdfium2.PdfDocument(path.read_bytes())
    document[0].set_rotation(rotate)
    document.save(path)
    document.close()
    async with opened() as sandbox:
        found = await sandbox.execute("doc:search", {"query": "seal"})
        box = found.data["hits"][0]["box"]
        seen = await sandbox.execute("doc:page_image", {"doc": path.name, "page": 1, "region": box, "dpi": 72})
        whole = await sandbox.execute("doc:page_image", {"doc": path.name, "page": 1, "dpi": 72})
    width, height = (842, 595) if rotate in (90, 270) else (595, 842)
    assert abs(whole.data["width"] - width) <= 1
    assert abs(whole.data["height"] - height) <= 1
    assert 0 <= box[0] < box[2] <= width
    assert 0 <= box[1] < box[3] <= height
    assert _ink(seen) > 0
    assert abs(_ink(seen) - _ink(whole)) < 0.1 * _ink(whole)


def _ink(result):
    """How many dark pixels the image has."""
    (image,) = [part for part in result.content if isinstance(part, ImageContent)]
    assert image.mime == "image/png"
    return sum(Image.open(io.BytesIO(image.data)).convert("L").histogram()[:128])


async def test_a_page_and_a_figure_come_as_images_with_their_text(make, opened):
    make.report()
    async with opened() as sandbox:
        page = await sandbox.execute("doc:page_image", {"doc": "report.pdf", "page": 1})
        figure = await sandbox.execute("doc:figure", {"doc": "report.pdf", "page": 1})
    assert (page.data["width"], page.data["height"]) == (910, 1287)
    assert "Zone 1 handled" in page.text
    assert "Quay | Dock | Yard" in figure.text
    assert figure.data["caption"] == "Figure 1: Visits by place."
    assert _ink(page) > _ink(figure) > 0
    assert_located(page)
    assert_located(figure)


async def test_a_scanned_page_is_read_by_tesseract(make, opened, tesseract):
    make.scan()
    async with opened() as sandbox:
        found = await sandbox.execute("doc:search", {"query": "ferry"})
        read = await sandbox.execute("doc:read", {"doc": "scan.pdf"})
    hit = found.data["hits"][0]
    assert "The red ferry leaves at noon." in read.text
    assert hit["page"] == 1
    assert 0 < hit["box"][0] < hit["box"][2] < 595


async def test_scans_beyond_those_read_at_first_are_read_when_asked_for(make, opened, tesseract):
    make.scan()
    async with opened(ocr=_ocr(pages=0)) as sandbox:
        found = await sandbox.execute("doc:search", {"query": "ferry"})
        read = await sandbox.execute("doc:read", {"doc": "scan.pdf"})
    assert found.data["hits"] == []
    assert "The red ferry leaves at noon." in read.text


def _ocr(**settings):
    from agentflow_doc.config import OcrConfig

    return OcrConfig(**settings)


async def test_a_scan_that_cannot_be_read_says_what_is_lacking(make, opened, monkeypatch):
    make.scan()
    make.report()
    monkeypatch.setenv("PATH", "/nowhere")
    async with opened() as sandbox:
        read = await sandbox.execute("doc:read", {"doc": "scan.pdf"})
        found = await sandbox.execute("doc:search", {"query": "ferry", "doc": "scan.pdf"})
        seen = await sandbox.execute("doc:page_image", {"doc": "scan.pdf", "page": 1})
        other = await sandbox.execute("doc:search", {"query": "cranes"})
        listed = await sandbox.execute("doc:list")
    for result in (read, found):
        assert result.code == "unsupported"
        assert "tesseract-ocr" in result.message
    assert seen.ok
    assert other.data["hits"]
    assert "tesseract-ocr" in listed.text


async def test_tables_beyond_those_found_at_first_are_found_when_asked_for(make, opened):
    make.report()
    async with opened(table_pages=1) as sandbox:
        found = await sandbox.execute("doc:search", {"query": "North region", "k": 10})
        read = await sandbox.execute("doc:read", {"doc": "report.pdf", "pages": "3"})
    assert {hit["page"] for hit in found.data["hits"] if "[figure 1" in hit["text"]} == {1}
    assert "| North | 120 | 140 |" in read.text
    assert read.data["figures"]


async def test_a_long_text_is_read_on_from_where_it_was_cut(make, opened):
    make.report()
    async with opened() as sandbox:
        whole = await sandbox.execute("doc:read", {"doc": "report.pdf"})
        parts, start = "", 0
        while start is not None:
            part = await sandbox.execute("doc:read", {"doc": "report.pdf", "start": start, "length": 700})
            _, _, rest = part.text.partition("\n\n")
            parts += rest[: part.data["end"] - part.data["start"]]
            start = part.data["next"]
            assert_located(part)
    assert whole.text.partition("\n\n")[2] == parts


async def test_many_pages_are_read_in_turns(make, opened):
    make.plain("long.pdf", [f"This is page number {n}." for n in range(1, 31)])
    async with opened() as sandbox:
        first = await sandbox.execute("doc:read", {"doc": "long.pdf"})
        rest = await sandbox.execute("doc:read", {"doc": "long.pdf", "pages": first.data["next_pages"]})
    assert first.data["next_pages"] == "21-30"
    assert "page number 20." in first.text
    assert "page number 30." in rest.text
    assert rest.data["next_pages"] is None


async def test_a_word_file_is_read_with_its_table_and_image(make, opened):
    make.word()
    async with opened() as sandbox:
        read = await sandbox.execute("doc:read", {"doc": "garden.docx"})
        table = await sandbox.execute("doc:table", {"doc": "garden.docx", "page": 1})
        figure = await sandbox.execute("doc:figure", {"doc": "garden.docx", "page": 2})
        image = await sandbox.execute("doc:page_image", {"doc": "garden.docx", "page": 1})
    assert "# Soil\n\nClay holds water for nine days." in read.text
    assert "- A spade." in read.text
    assert (table.data["columns"], table.data["rows"]) == (["Plant", "Weeks"], [["Fennel", "12"]])
    assert (figure.data["width"], figure.data["height"]) == (300, 100)
    assert image.code == "unsupported"
    assert_located(read)


async def test_slides_are_read_with_their_charts_as_tables(make, opened):
    make.slides()
    async with opened() as sandbox:
        read = await sandbox.execute("doc:read", {"doc": "sales.pptx"})
        table = await sandbox.execute("doc:table", {"doc": "sales.pptx", "page": 2})
        figure = await sandbox.execute("doc:figure", {"doc": "sales.pptx", "page": 2})
    assert "# Sales overview\n\nRevenue rose\nCosts fell\n\nNotes: Mention the weather." in read.text
    assert table.data["rows"] == [["Spring", "4.5"], ["Autumn", "7"]]
    assert (figure.data["width"], figure.data["height"]) == (300, 100)
    assert read.data["sources"][0]["box"]


async def test_a_web_page_is_read_without_what_is_around_its_text(make, opened):
    make.page()
    async with opened() as sandbox:
        read = await sandbox.execute("doc:read", {"doc": "news.html"})
    assert read.text.startswith(
        "Island news (doc: news.html), page 1\n\n# Island news\n\nThe bridge to Orlen opened in 1931"
    )
    assert "| North | 40 |" in read.text
    assert "alert" not in read.text


async def test_an_image_is_read_and_shown(make, opened, tesseract):
    make.image()
    async with opened() as sandbox:
        read = await sandbox.execute("doc:read", {"doc": "sign.png"})
        shown = await sandbox.execute("doc:page_image", {"doc": "sign.png", "page": 1, "region": [0, 50, 450, 200]})
    assert "The red ferry leaves at noon." in read.text
    assert (shown.data["width"], shown.data["height"]) == (450, 150)


async def test_plain_text_has_no_marks(make, opened):
    make.report()
    async with opened() as sandbox:
        read = await sandbox.execute("doc:read", {"doc": "report.pdf", "pages": "1", "format": "text"})
    assert "#" not in read.text
    assert "North | 120 | 140" in read.text
    assert "---" not in read.text
    assert_located(read)


@pytest.mark.parametrize(
    ("tool", "params", "code"),
    [
        ("read", {"doc": "none.pdf"}, "not_found"),
        ("read", {"doc": "report.pdf", "pages": "9"}, "invalid_argument"),
        ("read", {"doc": "report.pdf", "pages": "3-2"}, "invalid_argument"),
        ("read", {"doc": "report.pdf", "pages": "first"}, "invalid_argument"),
        ("read", {"doc": "report.pdf", "pages": "1", "section": "Cranes"}, "invalid_argument"),
        ("read", {"doc": "../report.pdf"}, "not_found"),
        ("table", {"doc": "report.pdf", "page": 1, "index": 2}, "not_found"),
        ("figure", {"doc": "report.pdf", "page": 4}, "invalid_argument"),
        ("page_image", {"doc": "report.pdf", "page": 1, "region": [500, 500, 400, 600]}, "invalid_argument"),
        ("page_image", {"doc": "report.pdf", "page": 1, "region": [1, 2]}, "invalid_argument"),
    ],
)
async def test_a_call_that_names_nothing_says_what_there_is(make, opened, tool, params, code):
    make.report()
    async with opened() as sandbox:
        result = await sandbox.execute(f"doc:{tool}", params)
    assert result.code == code
    assert result.hint
