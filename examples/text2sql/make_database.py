"""Make bookshop.sqlite, the database of this example: an invented bookshop, the same for the same seed.

python examples/text2sql/make_database.py [FILE]
"""

from __future__ import annotations

import sqlite3
import sys
from datetime import date, timedelta
from pathlib import Path
from random import Random

SEED = 20240229
BUNDLED = Path(__file__).with_name("bookshop.sqlite")

SCHEMA = """
CREATE TABLE publisher (publisher_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, city TEXT NOT NULL, country TEXT NOT NULL);
CREATE TABLE author (author_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, country TEXT NOT NULL, birth_year INTEGER NOT NULL);
CREATE TABLE genre (genre_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE book (
  book_id INTEGER PRIMARY KEY,
  title TEXT NOT NULL UNIQUE,
  author_id INTEGER NOT NULL REFERENCES author (author_id),
  publisher_id INTEGER NOT NULL REFERENCES publisher (publisher_id),
  genre_id INTEGER NOT NULL REFERENCES genre (genre_id),
  language TEXT NOT NULL,
  pages INTEGER NOT NULL,
  price REAL NOT NULL
);
CREATE TABLE customer (customer_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, city TEXT NOT NULL, member_level TEXT);
CREATE TABLE purchase (
  purchase_id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customer (customer_id),
  purchase_date TEXT NOT NULL,
  channel TEXT NOT NULL
);
CREATE TABLE purchase_line (
  purchase_id INTEGER NOT NULL REFERENCES purchase (purchase_id),
  book_id INTEGER NOT NULL REFERENCES book (book_id),
  quantity INTEGER NOT NULL,
  PRIMARY KEY (purchase_id, book_id)
);
CREATE TABLE review (
  review_id INTEGER PRIMARY KEY,
  book_id INTEGER NOT NULL REFERENCES book (book_id),
  customer_id INTEGER NOT NULL REFERENCES customer (customer_id),
  stars INTEGER NOT NULL,
  review_date TEXT NOT NULL
);
"""

GENRES = ("Crime", "Travel", "Poetry", "History", "Cooking", "Fantasy", "Biography", "Science")
COUNTRIES = ("Portugal", "Norway", "Kenya", "Chile", "Japan", "Canada")
CITIES = ("Lisbon", "Bergen", "Nairobi", "Osaka", "Valdivia", "Halifax", "Tromso", "Porto")
LANGUAGES = ("English", "Portuguese", "Japanese", "Norwegian")
FIRST = ("Ada", "Bruno", "Celia", "Dario", "Edda", "Farid", "Greta", "Hiro", "Ines", "Jonas", "Kaya", "Luis")
LAST = ("Almond", "Birch", "Cedar", "Dogwood", "Elder", "Fern", "Gorse", "Hazel", "Juniper", "Larch")
ADJECTIVES = ("Silent", "Amber", "Hidden", "Northern", "Broken", "Last", "Golden", "Salt", "Winter", "Distant")
NOUNS = ("Harbour", "Orchard", "Lantern", "Atlas", "Kitchen", "Railway", "Meadow", "Archive", "Tide", "Garden")
HOUSES = ("Heron", "Quarry", "Lighthouse", "Marigold", "Granite", "Compass", "Willow", "Foxglove", "Beacon", "Tern")
KINDS = ("Press", "Books", "House")
LEVELS = ("Silver", "Gold", None, None, "Platinum")
CHANNELS = ("Shop", "Website", "Phone")


def make(connection: sqlite3.Connection, seed: int = SEED) -> None:
    """Fill an empty database."""
    rng = Random(seed)
    connection.executescript(SCHEMA)
    people = [f"{first} {last}" for first in FIRST for last in LAST]
    rng.shuffle(people)
    publishers = [f"{house} {rng.choice(KINDS)}" for house in HOUSES]
    insert(connection, "publisher", [(name, rng.choice(CITIES), rng.choice(COUNTRIES)) for name in publishers])
    authors = people[:36]
    insert(connection, "author", [(name, rng.choice(COUNTRIES), rng.randint(1921, 1994)) for name in authors])
    insert(connection, "genre", [(name,) for name in GENRES])
    titles = [f"The {adjective} {noun}" for adjective in ADJECTIVES for noun in NOUNS]
    titles += [f"{noun} of {city}" for noun in NOUNS[:8] for city in CITIES]
    rng.shuffle(titles)
    books = [
        (
            title,
            skewed(rng, len(authors)),
            skewed(rng, len(publishers)),
            skewed(rng, len(GENRES)),
            rng.choice((LANGUAGES[0], *LANGUAGES)),
            rng.randrange(80, 720),
            rng.choice((7.5, 9.9, 12.5, 14.9, 19.9, 24.0, 32.5)),
        )
        for title in titles
    ]
    insert(connection, "book", books)
    customers = [(name, rng.choice(CITIES), rng.choice(LEVELS)) for name in people[36:106]]
    insert(connection, "customer", customers)
    first_day = date(2021, 1, 4)
    purchases = [
        (
            skewed(rng, len(customers)),
            str(first_day + timedelta(days=rng.randrange(1400))),
            rng.choice((*CHANNELS, CHANNELS[1])),
        )
        for _ in range(420)
    ]
    insert(connection, "purchase", purchases)
    lines = [
        (purchase, book, rng.choice((1, 1, 1, 2, 2, 3, 5)))
        for purchase in range(1, len(purchases) + 1)
        for book in sorted({skewed(rng, len(books)) for _ in range(rng.randint(1, 4))})
    ]
    connection.executemany("INSERT INTO purchase_line VALUES (?, ?, ?)", lines)
    reviews = [
        (
            skewed(rng, len(books)),
            skewed(rng, len(customers)),
            rng.choice((1, 2, 3, 3, 4, 4, 4, 5, 5)),
            str(first_day + timedelta(days=rng.randrange(1400))),
        )
        for _ in range(380)
    ]
    insert(connection, "review", reviews)
    connection.commit()


def skewed(rng: Random, count: int) -> int:
    """A number from 1 to ``count``, low ones more often, so that things differ in how many rows they have."""
    return 1 + min(int(rng.random() ** 1.6 * count), count - 1)


def insert(connection: sqlite3.Connection, table: str, rows: list[tuple[object, ...]]) -> None:
    """Insert rows with ids that count from 1."""
    marks = ", ".join("?" * (len(rows[0]) + 1))
    connection.executemany(f"INSERT INTO {table} VALUES ({marks})", [(at, *row) for at, row in enumerate(rows, 1)])


def main(target: Path = BUNDLED) -> None:
    """Write the file anew."""
    target.unlink(missing_ok=True)
    connection = sqlite3.connect(target)
    try:
        make(connection)
        connection.execute("VACUUM")
    finally:
        connection.close()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
