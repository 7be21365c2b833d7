"""Make the CSV files of this example: an invented chain of garden shops, the same for the same seed.

python examples/data-analysis/make_files.py [FOLDER]
"""

from __future__ import annotations

import csv
import sys
from datetime import date, timedelta
from pathlib import Path
from random import Random

SEED = 20240301
BUNDLED = Path(__file__).with_name("data")

TOWNS = ("Ashford", "Briarley", "Colmouth", "Dunwick", "Eastmere", "Farrow", "Glenholt", "Highcombe", "Inverlea")
REGIONS = ("North", "South", "West")
PRODUCTS = {
    "Tools": ("Spade", "Rake", "Secateurs", "Trowel", "Hedge Shears"),
    "Plants": ("Lavender", "Rosemary", "Climbing Rose", "Fern", "Boxwood", "Hosta"),
    "Seeds": ("Carrot Seeds", "Tomato Seeds", "Poppy Seeds"),
    "Furniture": ("Bench", "Folding Chair", "Parasol"),
}
SUPPLIERS = ("Greenway", "Oldroyd", "Petalworks", "Stonebridge")
CHANNELS = ("Counter", "Online", "Delivery")


def make(seed: int = SEED) -> dict[str, list[list[object]]]:
    """The tables by name, each with its header first."""
    rng = Random(seed)
    shops = [
        [f"S{at:02}", town, REGIONS[at % 3], rng.randrange(120, 900, 10), rng.randint(1988, 2019)]
        for at, town in enumerate(TOWNS, 1)
    ]
    named = [(category, name) for category, names in PRODUCTS.items() for name in names]
    products = [
        [f"P{at:02}", name, category, rng.choice(SUPPLIERS), rng.choice((2.4, 3.5, 6.9, 12.0, 24.5, 59.0))]
        for at, (category, name) in enumerate(named, 1)
    ]
    sales: list[list[object]] = []
    for number in range(1, 901):
        product = products[int(rng.random() ** 1.4 * len(products))]
        units = rng.choice((1, 1, 2, 2, 3, 4, 6, 10))
        discount = rng.choice(("", "", "", 5, 10, 20))
        day = date(2022, 1, 3) + timedelta(days=rng.randrange(1000))
        revenue = round(units * float(product[4]) * (1 - (discount or 0) / 100), 2)  # type: ignore[arg-type, operator]
        shop = shops[int(rng.random() ** 1.3 * len(shops))]
        sales.append([number, day.isoformat(), shop[0], product[0], rng.choice(CHANNELS), units, discount, revenue])
    return {
        "shops": [["shop_id", "shop", "region", "floor_area", "opening_year"], *shops],
        "products": [["product_id", "product", "category", "supplier", "unit_price"], *products],
        "sales": [
            ["sale_id", "sale_date", "shop_id", "product_id", "channel", "units", "discount_percent", "revenue"],
            *sales,
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
