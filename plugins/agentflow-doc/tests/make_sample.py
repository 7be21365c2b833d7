"""Make the document that comes with the plugin: ``python tests/make_sample.py`` (needs reportlab)."""

from __future__ import annotations

from pathlib import Path

from reportlab.graphics.charts.barcharts import VerticalBarChart
from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

ROWS = [
    ["Lighthouse", "Built", "Height (m)", "Range (nm)"],
    ["Harrow Point", "1871", "34", "21"],
    ["Skelly Rock", "1902", "41", "24"],
    ["Dunmarrow", "1889", "28", "18"],
    ["Tern Bank", "1934", "22", "15"],
]
ONE = """The five lights of the Velmark coast were surveyed in the spring of 2021. Each lighthouse was visited twice, once by
day and once by night, and its lamp, lens and tower were measured. The survey was led by the harbour office in Orlen."""
TWO = """Harrow Point is the oldest light that is still lit. Its tower of grey granite was built in 1871, after the wreck of
the barque Celandine on the bar below it. The lamp burned rape oil until 1907, when the keeper's house was joined to the
gasworks of Orlen."""
THREE = """The light on Skelly Rock replaced a wooden beacon that storms had carried away three times. Stone for its tower
came by sea from the quarries at Dunmarrow, and the work took six summers."""
FOUR = """Heights are given from the ground to the middle of the lamp. The range is that of a clear night, in nautical miles."""


def main() -> None:
    styles = getSampleStyleSheet()
    body = styles["BodyText"]
    table = Table(ROWS, repeatRows=1)
    table.setStyle(TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.black)]))
    drawing = Drawing(400, 180)
    chart = VerticalBarChart()
    chart.x, chart.y, chart.width, chart.height = 40, 30, 330, 130
    chart.data = [tuple(int(row[2]) for row in ROWS[1:])]
    chart.categoryAxis.categoryNames = [row[0] for row in ROWS[1:]]
    chart.valueAxis.valueMin = 0
    drawing.add(chart)
    story = [
        Paragraph("Lights of the Velmark Coast", styles["Title"]),
        Paragraph("1. The survey", styles["Heading1"]),
        Paragraph(ONE, body),
        Paragraph("2. The towers", styles["Heading1"]),
        Paragraph("2.1 Harrow Point", styles["Heading2"]),
        Paragraph(TWO, body),
        Paragraph("2.2 Skelly Rock", styles["Heading2"]),
        Paragraph(THREE, body),
        PageBreak(),
        Paragraph("3. Measurements", styles["Heading1"]),
        Paragraph(FOUR, body),
        Spacer(1, 12),
        Paragraph("Table 1: The lights that are still lit.", body),
        table,
        Spacer(1, 16),
        drawing,
        Paragraph("Figure 1: Heights of the towers in metres.", body),
    ]
    path = Path(__file__).parents[1] / "src" / "agentflow_doc" / "data" / "sample.pdf"
    title = "Lights of the Velmark Coast"
    SimpleDocTemplate(str(path), pagesize=A4, title=title, author="AgentFlow", invariant=1).build(story)


if __name__ == "__main__":
    main()
