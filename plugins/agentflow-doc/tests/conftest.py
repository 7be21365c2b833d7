"""What the tests of agentflow-doc share: documents that are made for them, and a sandbox over a folder of them."""

from __future__ import annotations

import io
import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.graphics.charts.barcharts import VerticalBarChart
from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors, pdfencrypt
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Frame,
    FrameBreak,
    ListFlowable,
    PageBreak,
    PageTemplate,
    Paragraph,
    SimpleDocTemplate,
    Table,
    TableStyle,
)

from agentflow_core.sandbox import Catalog, Sandbox, SandboxConfig
from agentflow_doc.backend import DocBackend
from agentflow_doc.config import DocConfig

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

STYLES = getSampleStyleSheet()
ROWS = [["Region", "2022", "2023"], ["North", "120", "140"], ["South", "80", "75"]]


class Maker:
    """Makes documents in a folder; each method returns the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def report(self, name: str = "report.pdf", title: str = "Harbour report", zones: int = 3) -> Path:
        """Headings, paragraphs, a ruled table and a chart with captions, a zone on each page."""
        story: list[Any] = [Paragraph(title, STYLES["Title"])]
        for zone in range(1, zones + 1):
            drawing = Drawing(300, 150)
            chart = VerticalBarChart()
            chart.x, chart.y, chart.width, chart.height = 40, 30, 220, 100
            chart.data = [(120, 80, 95)]
            chart.categoryAxis.categoryNames = ["Quay", "Dock", "Yard"]
            drawing.add(chart)
            table = Table(ROWS)
            table.setStyle(TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.black)]))
            story += [
                Paragraph(f"{zone}. Traffic of zone {zone}", STYLES["Heading1"]),
                Paragraph(
                    f"Zone {zone} handled <b>{1000 + zone} tonnes</b> of cargo in the year. " * 6, STYLES["BodyText"]
                ),
                Paragraph("Cranes", STYLES["Heading2"]),
                Paragraph(f"There are {zone} cranes, and each of them was painted grey.", STYLES["BodyText"]),
                Paragraph(f"Table {zone}: Cargo by region.", STYLES["BodyText"]),
                table,
                drawing,
                Paragraph(f"Figure {zone}: Visits by place.", STYLES["BodyText"]),
                PageBreak(),
            ]
        path = self.folder / name
        SimpleDocTemplate(str(path), pagesize=A4, title=title, invariant=1).build(story)
        return path

    def bare_table(self, rows: Sequence[Sequence[str]], name: str = "bare.pdf") -> Path:
        """A table that is drawn without lines, and a list."""
        items = ListFlowable(
            [
                Paragraph("First item.", STYLES["BodyText"]),
                Paragraph("Second item that goes on. " * 6, STYLES["BodyText"]),
            ],
            bulletType="bullet",
        )
        path = self.folder / name
        story = [Paragraph("Goods", STYLES["Title"]), Table(rows), items]
        SimpleDocTemplate(str(path), pagesize=A4, invariant=1).build(story)
        return path

    def columns(self, name: str = "columns.pdf") -> Path:
        """Two columns below a title that spans both."""
        path = self.folder / name
        frames = [Frame(60, 700, 475, 80), Frame(60, 60, 225, 630), Frame(310, 60, 225, 630)]
        document = BaseDocTemplate(str(path), pagesize=A4, invariant=1)
        document.addPageTemplates(PageTemplate(frames=frames))
        story: list[Any] = [Paragraph("Two columns", STYLES["Title"]), FrameBreak()]
        for column in "AB":
            story += [
                Paragraph(f"{column}{n} begins. {'Words of the column go on. ' * 8}", STYLES["BodyText"])
                for n in range(4)
            ]
            story.append(FrameBreak())
        document.build(story[:-1])
        return path

    def plain(self, name: str, texts: Sequence[str], *, password: str | None = None) -> Path:
        """A page for each text."""
        path = self.folder / name
        encrypt = None if password is None else pdfencrypt.StandardEncryption(password, password)
        drawn = canvas.Canvas(str(path), pagesize=A4, invariant=1, encrypt=encrypt)
        for text in texts:
            for at, line in enumerate(text.split("\n")):
                drawn.drawString(72, 760 - 14 * at, line)
            drawn.showPage()
        drawn.save()
        return path

    def bookmarked(self, sections: Sequence[tuple[str, int]], name: str = "marked.pdf") -> Path:
        """A page for each section ``(title, depth)``, with bookmarks that lead there, and no headings by their looks."""
        path = self.folder / name
        drawn = canvas.Canvas(str(path), pagesize=A4, invariant=1)
        for title, depth in sections:
            drawn.bookmarkPage(title)
            drawn.addOutlineEntry(title, title, level=depth)
            drawn.drawString(72, 760, title)
            drawn.drawString(72, 700, f"All about {title.lower()}.")
            drawn.showPage()
        drawn.save()
        return path

    def scan(self, name: str = "scan.pdf", text: str = "The red ferry leaves at noon.") -> Path:
        """A page that is an image."""
        path = self.folder / name
        drawn = canvas.Canvas(str(path), pagesize=A4, invariant=1)
        drawn.drawImage(ImageReader(_picture(text, (1240, 1754))), 0, 0, *A4)
        drawn.showPage()
        drawn.save()
        return path

    def image(self, name: str = "sign.png", text: str = "The red ferry leaves at noon.") -> Path:
        """A picture of a text."""
        path = self.folder / name
        _picture(text, (900, 300)).save(path)
        return path

    def word(self, name: str = "garden.docx") -> Path:
        """Headings, a table, a page break and an image."""
        import docx
        from docx.shared import Inches

        document = docx.Document()
        document.add_heading("Garden guide", 0)
        document.add_heading("Soil", 1)
        document.add_paragraph("Clay holds water for nine days.")
        table = document.add_table(2, 2)
        for at, text in enumerate(("Plant", "Weeks", "Fennel", "12")):
            table.cell(at // 2, at % 2).text = text
        document.add_page_break()
        document.add_heading("Tools", 1)
        document.add_paragraph("A spade.", style="List Bullet")
        buffer = io.BytesIO()
        _picture("spade", (300, 100)).save(buffer, "PNG")
        document.add_picture(buffer, width=Inches(2))
        document.save(str(self.folder / name))
        return self.folder / name

    def slides(self, name: str = "sales.pptx") -> Path:
        """A slide of text with notes, and one with a chart and an image."""
        import pptx
        from pptx.chart.data import CategoryChartData
        from pptx.enum.chart import XL_CHART_TYPE
        from pptx.util import Inches

        show = pptx.Presentation()
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text = "Sales overview"
        slide.placeholders[1].text = "Revenue rose\nCosts fell"
        slide.notes_slide.notes_text_frame.text = "Mention the weather."
        slide = show.slides.add_slide(show.slide_layouts[5])
        slide.shapes.title.text = "Numbers"
        data = CategoryChartData()
        data.categories = ["Spring", "Autumn"]
        data.add_series("2023", (4.5, 7))
        slide.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Inches(1), Inches(2), Inches(5), Inches(3), data)
        buffer = io.BytesIO()
        _picture("logo", (300, 100)).save(buffer, "PNG")
        slide.shapes.add_picture(buffer, Inches(6), Inches(5), Inches(2))
        show.save(str(self.folder / name))
        return self.folder / name

    def page(self, name: str = "news.html") -> Path:
        """An article with navigation around it."""
        path = self.folder / name
        path.write_text(
            "<html><head><title>Island news</title></head><body><nav>Home About</nav><article><h1>Island news</h1>"
            "<p>The bridge to Orlen opened in 1931 and carries nine thousand cars a day across the sound.</p>"
            "<h2>Ferries</h2><p>Two ferries run every hour between the harbours of the island and the mainland.</p>"
            "<table><tr><th>Line</th><th>Minutes</th></tr><tr><td>North</td><td>40</td></tr></table></article>"
            "<script>alert('hidden')</script></body></html>",
            encoding="utf-8",
        )
        return path


def _picture(text: str, size: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).text((40, 100), text, fill="black", font=ImageFont.load_default(48))
    return picture


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Make documents in the folder of the test."""
    return Maker(tmp_path / "documents")


@pytest.fixture
def tesseract(missing: Callable[[str], None]) -> str:
    """The program, or a skip."""
    found = shutil.which("tesseract")
    if found is None:
        missing("no tesseract: apt-get install tesseract-ocr")
    return str(found)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    """Open a sandbox over the folder: ``async with opened(table_pages=0) as sandbox``."""

    @asynccontextmanager
    async def run(
        *, backend: list[DocBackend] | None = None, observed: Any = None, **settings: Any
    ) -> AsyncIterator[Sandbox]:
        settings.setdefault("documents", str(tmp_path / "documents"))
        made = DocBackend(DocConfig(**settings))
        if backend is not None:
            backend.append(made)
        options = {} if observed is None else {"observe": observed}
        config = SandboxConfig(state_dir=tmp_path / "state")
        async with Sandbox(catalog=Catalog.of(doc=lambda: made), config=config, **options) as sandbox:
            yield sandbox

    return run
