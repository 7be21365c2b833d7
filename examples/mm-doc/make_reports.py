"""Set the texts of reports.yaml as PDF reports: outline, text, ruled tables, charts in vectors; the same bytes each time.

python examples/mm-doc/make_reports.py [FOLDER]          (needs reportlab)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from reportlab.graphics.charts.barcharts import VerticalBarChart
from reportlab.graphics.charts.linecharts import HorizontalLineChart
from reportlab.graphics.shapes import Drawing, String
from reportlab.lib.colors import HexColor, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    FrameBreak,
    KeepTogether,
    NextPageTemplate,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

if TYPE_CHECKING:
    from reportlab.pdfgen.canvas import Canvas

HERE = Path(__file__).parent
TEXTS = HERE / "reports.yaml"
BUNDLED = HERE / "reports"

MARGIN = 2 * cm
GAP = 0.8 * cm
GREY = HexColor("#555555")
BODY = ParagraphStyle("body", fontName="Helvetica", fontSize=10, leading=14, spaceAfter=9)
CAPTION = ParagraphStyle("caption", parent=BODY, fontName="Helvetica-Oblique", fontSize=9, leading=12)
HEADING = ParagraphStyle("heading", parent=BODY, fontName="Helvetica-Bold", fontSize=16, leading=20, spaceAfter=12)
TITLE = ParagraphStyle("title", parent=BODY, fontName="Helvetica-Bold", fontSize=26, leading=32, spaceAfter=24)


class Report(BaseDocTemplate):
    """One report: a cover, a list of contents, and a page or a column for each section; the headings are its outline."""

    def __init__(self, path: Path, report: dict[str, Any]) -> None:
        super().__init__(
            str(path),
            pagesize=A4,
            title=report["title"],
            author=report["organisation"],
            subject=report["summary"],
            invariant=1,
            pageCompression=0,  # what zlib makes differs between its builds
        )
        self.report = report
        width, height = A4[0] - 2 * MARGIN, A4[1] - 2 * MARGIN
        whole = Frame(MARGIN, MARGIN, width, height, 0, 0, 0, 0, id="whole")
        half = (width - GAP) / 2
        sides = [Frame(MARGIN + at * (half + GAP), MARGIN, half, height, 0, 0, 0, 0) for at in range(2)]
        self.addPageTemplates(
            [
                PageTemplate("cover", [whole]),
                PageTemplate("text", sides if report.get("two_columns") else [whole], onPage=self.running),
            ]
        )

    def running(self, canvas: Canvas, _: BaseDocTemplate) -> None:
        """The running head and the page number."""
        canvas.saveState()
        canvas.setFont("Helvetica", 8)
        canvas.setFillColor(GREY)
        canvas.drawString(MARGIN, A4[1] - 1.2 * cm, self.report["title"])
        canvas.drawRightString(A4[0] - MARGIN, 1.1 * cm, str(canvas.getPageNumber()))
        canvas.restoreState()

    def afterFlowable(self, flowable: Flowable) -> None:
        """Put headings into the outline."""
        name = getattr(flowable, "outlined", None)
        if name is not None:
            key = name.replace(" ", "-")
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(name, key, level=0)


def story(report: dict[str, Any]) -> list[Flowable]:
    """What stands in a report, from its cover on."""
    columns = 2 if report.get("two_columns") else 1
    width = (A4[0] - 2 * MARGIN - (columns - 1) * GAP) / columns
    accent = HexColor(report["accent"])
    sections = report["sections"]
    contents = [[str(at), section["title"], str(2 + at // columns)] for at, section in enumerate(sections, 1)]
    found: list[Flowable] = [
        Spacer(0, 5 * cm),
        Paragraph(report["title"], ParagraphStyle("coloured", parent=TITLE, textColor=accent)),
        Paragraph(report["summary"], BODY),
        NextPageTemplate("text"),
        PageBreak(),
        heading("Contents"),
        Table([[Paragraph(cell, BODY) for cell in row] for row in contents], [0.8 * cm, width - 2 * cm, 1.2 * cm]),
    ]
    counts = {"table": 0, "figure": 0}
    for number, section in enumerate(sections, 1):
        found += [PageBreak() if columns == 1 else FrameBreak(), heading(f"{number} {section['title']}")]
        for part in section["body"]:
            if isinstance(part, str):
                found.append(Paragraph(part, BODY))
                continue
            kind = "table" if "table" in part else "figure"
            counts[kind] += 1
            caption = Paragraph(f"{kind.capitalize()} {counts[kind]}. {part[kind]}", CAPTION)
            if kind == "table":
                found.append(KeepTogether([caption, ruled(part, width, accent), Spacer(0, 14)]))
            else:
                found.append(KeepTogether([chart(part, width, accent), caption]))
    return found


def heading(text: str) -> Paragraph:
    """A heading that is in the outline."""
    made = Paragraph(text, HEADING)
    made.outlined = text
    return made


def ruled(table: dict[str, Any], width: float, accent: HexColor) -> Table:
    """A table with rules around its cells."""
    narrow = width < 10 * cm
    size = 7.5 if narrow else 9
    head = ParagraphStyle("head", fontName="Helvetica-Bold", fontSize=size, leading=size + 2.5, textColor=white)
    cell = ParagraphStyle("cell", fontName="Helvetica", fontSize=size, leading=size + 2.5)
    rows = [[Paragraph(str(name), head) for name in table["columns"]]]
    rows += [[Paragraph(str(value), cell) for value in row] for row in table["rows"]]
    count = len(table["columns"])
    first = width * (0.26 if count > 4 else 0.36)
    made = Table(rows, [first, *([(width - first) / (count - 1)] * (count - 1))], repeatRows=1, hAlign="LEFT")
    made.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.5, GREY),
                ("BACKGROUND", (0, 0), (-1, 0), accent),
                ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
                ("LEFTPADDING", (0, 0), (-1, -1), 4),
                ("RIGHTPADDING", (0, 0), (-1, -1), 4),
            ]
        )
    )
    return made


def chart(figure: dict[str, Any], width: float, accent: HexColor) -> Drawing:
    """A chart of bars or lines; ``labels`` writes the values at the bars."""
    drawing = Drawing(width, 190)
    made = VerticalBarChart() if figure["kind"] == "bar" else HorizontalLineChart()
    made.x, made.y, made.width, made.height = 40, 30, width - 55, 130
    made.data = [list(map(float, values)) for values in figure["series"].values()]
    made.categoryAxis.categoryNames = [str(name) for name in figure["x"]]
    made.categoryAxis.labels.fontName = made.valueAxis.labels.fontName = "Helvetica"
    made.categoryAxis.labels.fontSize = made.valueAxis.labels.fontSize = 8
    high = max(map(max, made.data))
    low = 0 if figure["kind"] == "bar" else min(map(min, made.data))
    step = next(
        step * 10**power for power in range(-2, 6) for step in (1, 2, 5) if (high - low * 0.9) / (step * 10**power) <= 6
    )
    made.valueAxis.valueMin = low // step * step - (step if low else 0)
    made.valueAxis.valueMax = (high // step + 1) * step
    made.valueAxis.valueStep = step
    made.valueAxis.visibleGrid = 1
    made.valueAxis.gridStrokeColor = HexColor("#dddddd")
    parts = made.bars if figure["kind"] == "bar" else made.lines
    for at, name in enumerate(figure["series"]):
        colour = accent if at == 0 else HexColor("#d35400")
        if figure["kind"] == "bar":
            parts[at].fillColor = colour
        else:
            parts[at].strokeColor = colour
            parts[at].strokeWidth = 2
            if len(figure["series"]) > 1:
                drawing.add(String(width - 90, 176 - 12 * at, name, fontName="Helvetica", fontSize=8, fillColor=colour))
    if figure.get("labels"):
        made.barLabels.fontName, made.barLabels.fontSize, made.barLabels.nudge = "Helvetica", 8, 7
        made.barLabelFormat = _shown
    drawing.add(String(4, 176, figure["unit"], fontName="Helvetica", fontSize=8, fillColor=GREY))
    drawing.add(made)
    return drawing


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,}"


def main(target: Path = BUNDLED) -> None:
    """Write the reports anew."""
    target.mkdir(exist_ok=True)
    for report in yaml.safe_load(TEXTS.read_text(encoding="utf-8"))["reports"]:
        Report(target / f"{report['file']}.pdf", report).build(story(report))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
