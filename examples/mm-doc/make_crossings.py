"""Make the CSV files of mixed.yaml: crossings of the ferries of the reports, the same for the same seed.

python examples/mm-doc/make_crossings.py [FOLDER]
"""

from __future__ import annotations

import csv
import sys
from datetime import date, timedelta
from pathlib import Path
from random import Random

SEED = 20241231
BUNDLED = Path(__file__).with_name("crossings")

#: Ship, seats, fuel.
SHIPS = (
    ("Kestrel", 340, "diesel"),
    ("Petrel", 212, "hybrid"),
    ("Sandpiper", 156, "diesel"),
    ("Great Auk", 480, "hybrid"),
    ("Turnstone", 124, "diesel"),
    ("Plover", 88, "electric"),
    ("Avocet", 198, "diesel"),
)
#: Route, minutes that a crossing takes, the number of its ship.
ROUTES = (
    ("Sound Crossing", 55, 3),
    ("North Loop", 140, 0),
    ("Eldrey Run", 35, 1),
    ("Tessay Shuttle", 25, 2),
    ("Marrow Coaster", 90, 6),
    ("Farholm Run", 75, 4),
    ("Quern Link", 11, 5),
)
WEATHER = ("calm", "calm", "calm", "rough", "rough", "fog")


def make(seed: int = SEED) -> dict[str, list[list[object]]]:
    """The tables by name, each with its header first."""
    rng = Random(seed)
    ships = [[f"S{at}", *ship] for at, ship in enumerate(SHIPS, 1)]
    routes = [[f"R{at}", name, minutes] for at, (name, minutes, _) in enumerate(ROUTES, 1)]
    crossings: list[list[object]] = []
    for number in range(1, 301):
        at = rng.randrange(len(ROUTES))
        # now and then another ship stands in
        ship = ROUTES[at][2] if rng.random() < 0.85 else rng.randrange(len(SHIPS))
        weather = rng.choice(WEATHER)
        day = date(2024, 1, 1) + timedelta(days=rng.randrange(366))
        passengers = round(SHIPS[ship][1] * rng.uniform(0.15, 0.98))
        late = max(0, round(rng.gauss({"calm": 1, "rough": 6, "fog": 15}[weather], 5)))
        crossings.append([number, day.isoformat(), f"R{at + 1}", f"S{ship + 1}", weather, passengers, late])
    return {
        "ships": [["ship_id", "ship", "seats", "fuel"], *ships],
        "routes": [["route_id", "route", "planned_minutes"], *routes],
        "crossings": [
            ["crossing_id", "crossing_date", "route_id", "ship_id", "weather", "passengers", "minutes_late"],
            *crossings,
        ],
    }


def main(target: Path = BUNDLED) -> None:
    """Write the files anew."""
    target.mkdir(exist_ok=True)
    for name, rows in make().items():
        with (target / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
