"""Make the files on the desktop: things, who made them, and where; invented, the same at each run."""

from __future__ import annotations

import random
import sys
from pathlib import Path

THINGS = (
    "Birch Stool",
    "Copper Kettle",
    "Felt Hat",
    "Glass Lamp",
    "Linen Sail",
    "Oak Chest",
    "Slate Clock",
    "Wicker Chair",
)
MAKERS = ("Amber Works", "Hollow Yard", "Pender Loft", "Tarn Mill")
TOWNS = ("Ellerby Ferry", "Marrow Bay", "Quill Cross", "Stanhope Weir")
RIVERS = ("Wend", "Lark", "Osier", "Tamble")
DAYS = ("Tuesday", "Wednesday", "Thursday", "Saturday")
COLOURS = ("grey", "green", "ochre", "white", "blue", "russet", "black", "yellow")


def files(rng: random.Random) -> dict[str, str]:
    """Their texts by their names."""
    made = {}
    colours = rng.sample(COLOURS, len(THINGS))
    for number, thing in enumerate(THINGS):
        made[thing] = {
            "Maker": MAKERS[number % len(MAKERS)],
            "Colour": colours[number],
            "Price": f"{rng.randrange(24, 180)} crowns",
            "Weight": f"{rng.randrange(4, 90) / 10:.1f} kg",
        }
    for number, maker in enumerate(MAKERS):
        made[maker] = {
            "Town": TOWNS[(number * 3 + 1) % len(TOWNS)],
            "Telephone": f"0555 {rng.randrange(1000, 9999)}",
            "Founding year": str(rng.randrange(1861, 1974)),
        }
    for number, town in enumerate(TOWNS):
        made[town] = {
            "River": RIVERS[number],
            "Market day": DAYS[number],
            "Number of houses": str(rng.randrange(210, 1900)),
        }
    texts = {
        f"{title.lower().replace(' ', '-')}.txt": "\n".join(
            [title, *(f"{key}: {value}" for key, value in facts.items())]
        )
        + "\n"
        for title, facts in made.items()
    }
    return {**texts, "notes.txt": "Call the mill.\nOil the lamp.\n", "names.txt": "Wren\nAlder\nMoss\nBriar\n"}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data"
    for name, text in files(random.Random(6)).items():
        (folder / name).write_text(text, "utf-8")
