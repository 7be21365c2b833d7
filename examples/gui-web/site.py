"""Serve the invented shop "Tarn & Thistle" on loopback: pages, tables, forms and a cart; the same at every start.

python examples/gui-web/site.py                    serve until interrupted
python examples/gui-web/site.py --port 0 COMMAND   serve while the command runs, and end with its exit code

The port is 8017, `GUI_WEB_PORT`, or what `--port` says; 0 is any that is free. A command finds it in `GUI_WEB_PORT`.
What a visitor does is kept per session cookie and in memory: two visitors never see anything of each other.
Only the standard library is needed.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, quote, urlencode, urlsplit

HOST = "127.0.0.1"
PORT = 8017
PER_PAGE = 5
MOST_SESSIONS = 10_000

PRODUCTS = """
category | article | product | colour | price | rating | size | weight | material | maker | warranty | description
kettles | KT-104 | Alder Kettle | Blue | 39.00 | 4.4 | Capacity 1.7 l | 1.2 | steel | Brackwater Works | 2 | A stove-top kettle with a whistle that can be taken off.
kettles | KT-117 | Birch Kettle | Red | 45.50 | 4.1 | Capacity 1.5 l | 1.1 | enamel | Holloway Enamel | 3 | An enamelled kettle with a wooden grip.
kettles | KT-121 | Cedar Kettle | Black | 62.00 | 4.8 | Capacity 2.0 l | 1.6 | cast iron | Brackwater Works | 10 | A heavy kettle that keeps water hot for an hour.
kettles | KT-133 | Dune Kettle | White | 28.75 | 3.6 | Capacity 1.0 l | 0.8 | plastic | Pellbrook Electrics | 1 | A small electric kettle for one or two cups.
kettles | KT-140 | Elm Kettle | Blue | 54.25 | 4.6 | Capacity 1.8 l | 1.3 | copper | Brackwater Works | 5 | A copper kettle with a long spout for slow pouring.
kettles | KT-152 | Fern Kettle | Green | 33.10 | 3.9 | Capacity 1.2 l | 0.9 | enamel | Holloway Enamel | 3 | A light kettle for camping stoves.
kettles | KT-168 | Gorse Kettle | Yellow | 71.40 | 4.2 | Capacity 1.7 l | 1.5 | steel | Pellbrook Electrics | 2 | An electric kettle that holds the temperature that is set.
lamps | LM-203 | Anchor Lamp | Brass | 88.00 | 4.7 | Height 42 cm | 2.4 | brass | Saltmarsh Lighting | 5 | A desk lamp with a shade that turns.
lamps | LM-211 | Bellows Lamp | Black | 52.90 | 4.0 | Height 35 cm | 1.7 | steel | Saltmarsh Lighting | 3 | A reading lamp whose arm folds like a bellows.
lamps | LM-219 | Candle Lamp | White | 24.60 | 3.8 | Height 18 cm | 0.6 | glass | Quillon Glass | 1 | A night light in frosted glass.
lamps | LM-226 | Drift Lamp | Blue | 67.30 | 4.3 | Height 51 cm | 2.9 | glass | Quillon Glass | 4 | A table lamp of blown glass, each with other bubbles.
lamps | LM-238 | Ember Lamp | Red | 41.15 | 4.5 | Height 29 cm | 1.2 | paper | Saltmarsh Lighting | 2 | A paper lamp that folds flat.
lamps | LM-245 | Flint Lamp | Grey | 119.00 | 4.9 | Height 160 cm | 7.8 | stone | Tressel & Oak | 8 | A floor lamp on a foot of slate.
chairs | CH-302 | Aspen Chair | White | 96.00 | 4.2 | Height 82 cm | 4.1 | ash | Tressel & Oak | 5 | A kitchen chair that can be stacked.
chairs | CH-310 | Bramble Chair | Green | 134.50 | 4.6 | Height 91 cm | 5.6 | oak | Tressel & Oak | 10 | A chair with arms and a woven seat.
chairs | CH-318 | Clover Chair | Green | 58.20 | 3.7 | Height 45 cm | 2.3 | pine | Larkfield Joinery | 2 | A stool for a workbench or a child.
chairs | CH-325 | Dockside Chair | Blue | 149.90 | 4.4 | Height 88 cm | 6.2 | beech | Larkfield Joinery | 6 | A folding chair with a canvas back.
clocks | CL-401 | Acorn Clock | Brown | 74.00 | 4.3 | Diameter 24 cm | 1.4 | walnut | Larkfield Joinery | 4 | A wall clock without a tick.
clocks | CL-409 | Beacon Clock | Red | 31.80 | 3.9 | Diameter 12 cm | 0.4 | plastic | Pellbrook Electrics | 1 | An alarm clock with a lamp that grows brighter.
clocks | CL-417 | Cobble Clock | Grey | 112.60 | 4.8 | Diameter 30 cm | 3.5 | stone | Brackwater Works | 7 | A garden clock that frost does not harm.
clocks | CL-424 | Dial Clock | Blue | 47.70 | 4.0 | Diameter 20 cm | 0.9 | glass | Quillon Glass | 3 | A clock of two panes, its works hidden in the frame.
"""
MAKERS = """
maker | craft | town | founded | employees | motto
Brackwater Works | metal | Ostrey | 1921 | 145 | Hammered once, used for ever.
Holloway Enamel | enamel | Penmarrow | 1948 | 62 | Fired twice, at eight hundred degrees.
Larkfield Joinery | wood | Ostrey | 1987 | 35 | No screw where a joint will do.
Pellbrook Electrics | electrics | Varne | 2003 | 210 | It boils, it rings, it stops.
Quillon Glass | glass | Muirhaven | 1966 | 48 | Every piece blown by mouth.
Saltmarsh Lighting | lighting | Penmarrow | 1974 | 88 | Light where the book is.
Tressel & Oak | wood | Muirhaven | 1899 | 57 | Trees that we planted ourselves.
"""
SHOPS = """
shop | town | street | opens | closes | telephone
Harbour Store | Ostrey | 3 Quay Street | 09:00 | 18:00 | 0550 1103
Mill Store | Penmarrow | 41 Mill Lane | 08:30 | 17:30 | 0550 2207
Station Store | Varne | 1 Station Square | 07:00 | 20:00 | 0550 3309
Castle Store | Muirhaven | 16 Castle Rise | 10:00 | 17:00 | 0550 4412
Bridge Store | Tolby | 8 Bridge Road | 09:30 | 18:30 | 0550 5518
"""
ZONES = """
zone | price | days | order by
Lowlands | 4.90 | 2 | 15:00
Highlands | 7.50 | 4 | 12:00
Islands | 12.40 | 6 | 11:00
Abroad | 19.80 | 9 | 10:00
"""
TOPICS = ("An order", "Returns", "Repairs", "Something else")
PAYMENTS = ("Invoice", "Card at the door")
CATEGORIES = ("kettles", "lamps", "chairs", "clocks")
NAVIGATION = (*CATEGORIES, "makers", "shops", "delivery", "contact")

Row = Mapping[str, str]
Query = Mapping[str, str]


def _table(text: str) -> list[dict[str, str]]:
    names, *rows = ([cell.strip() for cell in line.split("|")] for line in text.strip().splitlines())
    return [dict(zip(names, row, strict=True)) for row in rows]


def slug(name: str) -> str:
    """The name as a part of a URL: ``Tressel & Oak`` is ``tressel-oak``."""
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


PRODUCT_ROWS = _table(PRODUCTS)
MAKER_ROWS = _table(MAKERS)
SHOP_ROWS = _table(SHOPS)
ZONE_ROWS = _table(ZONES)
BY_SLUG = {slug(row["product"]): row for row in PRODUCT_ROWS}
MAKER_BY_SLUG = {slug(row["maker"]): row for row in MAKER_ROWS}


@dataclass
class Visit:
    """What one visitor did."""

    cart: dict[str, int] = field(default_factory=dict)  #: how many, by the slug of a product
    orders: list[dict[str, str]] = field(default_factory=list)
    letters: list[dict[str, str]] = field(default_factory=list)
    said: str = ""  #: what the next page tells once
    lock: Lock = field(default_factory=Lock)

    def say_once(self) -> str:
        """What there is to tell, which is then forgotten."""
        said, self.said = self.said, ""
        return said

    @property
    def total(self) -> float:
        """The price of the cart."""
        return sum(float(BY_SLUG[name]["price"]) * count for name, count in self.cart.items())


class Visits:
    """The visits by session cookie; the oldest are forgotten where there are very many."""

    def __init__(self) -> None:
        self._visits: dict[str, Visit] = {}
        self._lock = Lock()

    def of(self, cookie: str | None) -> tuple[str, Visit]:
        """The visit of a cookie, or a new one with a new cookie."""
        with self._lock:
            if cookie is None or cookie not in self._visits:
                cookie = secrets.token_urlsafe(16)
                self._visits[cookie] = Visit()
                if len(self._visits) > MOST_SESSIONS:
                    del self._visits[next(iter(self._visits))]
            return cookie, self._visits[cookie]


# ---- HTML


def link(path: str, text: str) -> str:
    """An anchor."""
    return f'<a href="{escape(path)}">{escape(text)}</a>'


def field_of(name: str, label: str, *, value: str = "", kind: str = "text") -> str:
    """A labelled input."""
    least = ' min="1" max="99"' if kind == "number" else ""
    return (
        f'<p><label for="{name}">{escape(label)}</label> '
        f'<input type="{kind}" id="{name}" name="{name}" value="{escape(value)}"{least}></p>'
    )


def choice(name: str, label: str, options: Iterable[str], chosen: str = "") -> str:
    """A labelled list to select from."""
    rows = "".join(f"<option{' selected' if each == chosen else ''}>{escape(each)}</option>" for each in options)
    return f'<p><label for="{name}">{escape(label)}</label> <select id="{name}" name="{name}">{rows}</select></p>'


def form(action: str, body: str, button: str, *, method: str = "post", label: str = "") -> str:
    """A form with one button."""
    named = f' aria-label="{escape(label)}"' if label else ""
    return f'<form action="{escape(action)}" method="{method}"{named}>{body}<button>{escape(button)}</button></form>'


def table(caption: str, columns: Iterable[str], rows: Iterable[Iterable[str]], *, id: str = "") -> str:
    """A table with a head; cells are HTML."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in columns)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    named = f' id="{id}"' if id else ""
    return (
        f"<table{named}><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def details(caption: str, rows: Mapping[str, str], *, id: str = "details") -> str:
    """A table of names and values; values are HTML."""
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{value}</td></tr>' for name, value in rows.items())
    return f'<table id="{id}"><caption>{escape(caption)}</caption><tbody>{body}</tbody></table>'


def page(title: str, body: str, visit: Visit) -> str:
    """A whole page."""
    links = " ".join(link(f"/{name}", name.capitalize()) for name in NAVIGATION)
    count = sum(visit.cart.values())
    said = visit.say_once()
    told = f'<p role="status" id="status">{escape(said)}</p>' if said else ""
    search = form(
        "/search",
        '<label for="q">Search</label> <input type="search" id="q" name="q">',
        "Search",
        method="get",
        label="Search the shop",
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)} – Tarn &amp; Thistle</title>'
        "<style>body{font:16px sans-serif;margin:1rem 2rem;max-width:60rem}nav a{margin-right:.8rem}"
        "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #bbb;padding:.3rem .6rem;text-align:left}"
        "</style></head><body>"
        f'<header><nav aria-label="Shop">{link("/", "Home")} {links} '
        f'<a href="/cart" id="cart">Cart (<span id="cart-count">{count}</span>)</a></nav>{search}</header>'
        f"<main><h1>{escape(title)}</h1>{told}{body}</main></body></html>"
    )


# ---- lists that can be sorted and paged


@dataclass(frozen=True)
class Column:
    """A column of a list: its heading, the cell of a row, and what it is sorted by."""

    name: str
    cell: Callable[[Row], str]
    key: Callable[[Row], object]


def plain(name: str, number: bool = False, form: str = "{}") -> Column:
    """A column that shows a value as it is, or in a form."""
    of = name.lower()
    return Column(
        name,
        lambda row: escape(form.format(row[of])),
        (lambda row: float(row[of])) if number else (lambda row: row[of]),
    )


def linked(name: str, folder: str) -> Column:
    """A column of names that lead to pages."""
    of = name.lower()
    return Column(name, lambda row: link(f"/{folder}/{slug(row[of])}", row[of]), lambda row: row[of])


LISTS: Mapping[str, tuple[Column, ...]] = {
    **dict.fromkeys(
        CATEGORIES,
        (
            linked("Product", "product"),
            plain("Article"),
            plain("Colour"),
            plain("Price", number=True, form="${}"),
            plain("Rating", number=True),
        ),
    ),
    "makers": (linked("Maker", "maker"), plain("Craft")),
    "shops": (
        plain("Shop"),
        plain("Town"),
        plain("Street"),
        plain("Opens"),
        plain("Closes"),
        plain("Telephone"),
    ),
    "delivery": (plain("Zone"), plain("Price", number=True, form="${}"), plain("Days", number=True), plain("Order by")),
}
ROWS: Mapping[str, list[dict[str, str]]] = {
    **{name: [row for row in PRODUCT_ROWS if row["category"] == name] for name in CATEGORIES},
    "makers": MAKER_ROWS,
    "shops": SHOP_ROWS,
    "delivery": ZONE_ROWS,
}


def listing(name: str, query: Query) -> str:
    """A list as a table, in the order and on the page that the query asks for."""
    columns, rows = LISTS[name], ROWS[name]
    filters = ""
    if name in CATEGORIES:
        colours = ("Any", *sorted({row["colour"] for row in rows}))
        colour = query.get("colour", "Any")
        filters = form(
            f"/{name}", choice("colour", "Colour", colours, colour), "Show", method="get", label=f"Filter the {name}"
        )
        rows = [row for row in rows if colour in ("Any", row["colour"])]
    sort = next((column for column in columns if column.name.lower() == query.get("sort")), None)
    is_falling = query.get("order") == "desc"
    order = ""
    if sort is not None:
        rows = sorted(rows, key=lambda row: (sort.key(row), row[columns[0].name.lower()]), reverse=is_falling)  # type: ignore[arg-type, return-value]
        order = f", by {sort.name.lower()}, {'highest' if is_falling else 'lowest'} first"
    pages = max(1, -(-len(rows) // PER_PAGE))
    at = min(max(1, int(query["page"])) if query.get("page", "").isdecimal() else 1, pages)
    shown = rows[(at - 1) * PER_PAGE : at * PER_PAGE]

    def to(**changes: str) -> str:
        kept = {key: value for key, value in {**query, **changes}.items() if key in ("colour", "sort", "order", "page")}
        return f"/{name}?{urlencode(kept)}"

    heads = [
        link(to(sort=c.name.lower(), order="desc" if sort is c and not is_falling else "asc", page="1"), c.name)
        for c in columns
    ]
    body = table(name.capitalize(), heads, ([column.cell(row) for column in columns] for row in shown), id="list")
    more = " ".join(
        link(to(page=str(number)), text)
        for number, text in ((at - 1, "Previous page"), (at + 1, "Next page"))
        if 1 <= number <= pages
    )
    return f'{filters}{body}<p id="count">{len(rows)} {name}{order}, page {at} of {pages}</p><p>{more}</p>'


# ---- pages


def product_page(row: Row) -> str:
    """What is told of a product, with the form that puts it into the cart."""
    size, _, measure = row["size"].partition(" ")
    years = f"{row['warranty']} year{'s' if row['warranty'] != '1' else ''}"
    told = {
        "Price": f"${row['price']}",
        "Colour": escape(row["colour"]),
        size: escape(measure),
        "Weight": f"{row['weight']} kg",
        "Material": escape(row["material"]),
        "Maker": link(f"/maker/{slug(row['maker'])}", row["maker"]),
        "Warranty": years,
    }
    buy = form(
        f"/product/{slug(row['product'])}/add",
        field_of("quantity", "Quantity", value="1", kind="number"),
        "Add to cart",
        label="Buy",
    )
    return (
        f"<p>{escape(row['description'])}</p>{details('Details', told)}{buy}"
        f"<p>{link('/' + row['category'], 'All ' + row['category'])}</p>"
    )


def maker_page(row: Row) -> str:
    """What is told of a maker, with a link to its products."""
    told = {name.capitalize(): escape(row[name]) for name in ("town", "founded", "employees")}
    made = f"/search?{urlencode({'maker': row['maker']})}"
    return f"<p>{escape(row['motto'])}</p>{details('About', told)}<p>{link(made, 'Products of ' + row['maker'])}</p>"


def cart_page(visit: Visit) -> str:
    """What is in the cart."""
    if not visit.cart:
        return '<p id="empty">The cart is empty.</p>'
    rows = [
        (
            link(f"/product/{name}", BY_SLUG[name]["product"]),
            str(count),
            f"${float(BY_SLUG[name]['price']) * count:.2f}",
            form(f"/cart/{name}/remove", "", f"Remove {BY_SLUG[name]['product']}"),
        )
        for name, count in visit.cart.items()
    ]
    items = table("Items", ("Product", "Quantity", "Sum", "Change"), rows, id="cart-items")
    total = f'<p>Total: <span id="cart-total">${visit.total:.2f}</span></p>'
    return f"{items}{total}<p>{link('/checkout', 'Go to checkout')}</p>"


def checkout_page(visit: Visit) -> str:
    """The form that makes an order of the cart."""
    if not visit.cart:
        return cart_page(visit)
    ways = "".join(
        f'<label><input type="radio" name="payment" value="{each}"{" checked" if each == PAYMENTS[0] else ""}> {each}</label> '
        for each in PAYMENTS
    )
    body = (
        field_of("name", "Name")
        + field_of("street", "Street")
        + field_of("town", "Town")
        + choice("zone", "Delivery zone", (row["zone"] for row in ZONE_ROWS))
        + f"<fieldset><legend>Payment</legend>{ways}</fieldset>"
        + '<p><label><input type="checkbox" name="wrap" value="yes"> Gift wrapping</label></p>'
    )
    return form("/checkout", body, "Place order", label="Checkout")


def order_page(order: Row) -> str:
    """An order that was placed."""
    return "<p>Thank you for your order.</p>" + details(
        "Order", {name: escape(value) for name, value in order.items()}, id="order"
    )


def contact_page() -> str:
    """The form that sends a message."""
    body = (
        choice("topic", "Topic", TOPICS)
        + field_of("name", "Name")
        + field_of("email", "Email", kind="email")
        + '<p><label for="message">Message</label> <textarea id="message" name="message"></textarea></p>'
        + '<p><label><input type="checkbox" name="copy" value="yes"> Send me a copy</label></p>'
    )
    return form("/contact", body, "Send message", label="Contact")


def letter_page(letter: Row) -> str:
    """A message that was sent."""
    return "<p>Thank you for your message.</p>" + details(
        "Message", {name: escape(value) for name, value in letter.items()}, id="message-sent"
    )


def search_page(query: Query) -> str:
    """The products and makers that have all words of a search, or the products of a maker."""
    words = query.get("q", "").lower().split()
    maker = query.get("maker", "")

    def fits(row: Row, *columns: str) -> bool:
        text = " ".join(row[column] for column in columns).lower()
        return bool(words) and all(word in text for word in words)

    found = [
        (f"/product/{slug(row['product'])}", row["product"], row["description"])
        for row in PRODUCT_ROWS
        if row["maker"] == maker or fits(row, "product", "article", "colour", "description")
    ]
    found += [(f"/maker/{slug(row['maker'])}", row["maker"], row["motto"]) for row in MAKER_ROWS if fits(row, "maker")]
    items = "".join(f"<li>{link(path, name)}: {escape(text)}</li>" for path, name, text in found)
    told = f"{len(found)} result{'s' if len(found) != 1 else ''} for “{escape(maker or query.get('q', ''))}”"
    return f'<p id="results">{told}</p><ul>{items}</ul>'


HOME = (
    "<p>Things for the house, made in four towns by seven makers, sold in five shops.</p>"
    "<p>Choose a category, look for a maker, or search.</p>"
)


def shown(path: str, query: Query, visit: Visit) -> str | None:
    """The page at a path; None where there is none."""
    parts = path.strip("/").split("/")
    match parts:
        case [""]:
            return page("Welcome", HOME, visit)
        case [name] if name in LISTS:
            return page(name.capitalize(), listing(name, query), visit)
        case ["product", name] if name in BY_SLUG:
            return page(BY_SLUG[name]["product"], product_page(BY_SLUG[name]), visit)
        case ["maker", name] if name in MAKER_BY_SLUG:
            return page(MAKER_BY_SLUG[name]["maker"], maker_page(MAKER_BY_SLUG[name]), visit)
        case ["cart"]:
            return page("Cart", cart_page(visit), visit)
        case ["checkout"]:
            return page("Checkout", checkout_page(visit), visit)
        case ["contact"]:
            return page("Contact", contact_page(), visit)
        case ["search"]:
            return page("Search results", search_page(query), visit)
        case ["orders", number] if number.isdecimal() and 0 <= int(number) - 1001 < len(visit.orders):
            return page(f"Order {number}", order_page(visit.orders[int(number) - 1001]), visit)
        case ["messages", number] if number.isdecimal() and 0 < int(number) <= len(visit.letters):
            return page(f"Message {number}", letter_page(visit.letters[int(number) - 1]), visit)
    return None


def done(path: str, given: Query, visit: Visit) -> str | None:
    """Do what a form asks for; where to go then, None where there is no such form."""
    parts = path.strip("/").split("/")
    match parts:
        case ["product", name, "add"] if name in BY_SLUG:
            count = int(given["quantity"]) if given.get("quantity", "").isdecimal() else 0
            if 1 <= count <= 99:
                visit.cart[name] = visit.cart.get(name, 0) + count
                visit.said = f"Added {count} × {BY_SLUG[name]['product']} to the cart."
            else:
                visit.said = "The quantity must be between 1 and 99."
            return f"/product/{name}"
        case ["cart", name, "remove"]:
            if visit.cart.pop(name, None):
                visit.said = f"Removed {BY_SLUG[name]['product']}."
            return "/cart"
        case ["checkout"]:
            return _ordered(given, visit)
        case ["contact"]:
            if not given.get("message") or not given.get("name"):
                visit.said = "Name and message are needed."
                return "/contact"
            names = {"topic": "Topic", "name": "Name", "email": "Email", "message": "Message"}
            letter = {label: given.get(name, "") for name, label in names.items()}
            visit.letters.append({**letter, "Copy": given.get("copy", "no")})
            return f"/messages/{len(visit.letters)}"
    return None


def _ordered(given: Query, visit: Visit) -> str:
    missing = [name for name in ("name", "street", "town") if not given.get(name)]
    zone = next((row for row in ZONE_ROWS if row["zone"] == given.get("zone")), None)
    if missing or zone is None or not visit.cart:
        visit.said = f"Please fill in: {', '.join(missing) or 'the cart'}."
        return "/checkout"
    items = ", ".join(f"{count} × {BY_SLUG[name]['product']}" for name, count in visit.cart.items())
    visit.orders.append(
        {
            "Items": items,
            "Name": given["name"],
            "Street": given["street"],
            "Town": given["town"],
            "Delivery zone": zone["zone"],
            "Payment": given["payment"] if given.get("payment") in PAYMENTS else PAYMENTS[0],
            "Gift wrapping": "yes" if given.get("wrap") else "no",
            "Total": f"${visit.total + float(zone['price']):.2f}",
        }
    )
    visit.cart.clear()
    return f"/orders/{1000 + len(visit.orders)}"


# ---- serving


class Handler(BaseHTTPRequestHandler):
    """Answers one visitor at a time for each cookie."""

    protocol_version = "HTTP/1.1"
    visits: Visits

    def do_GET(self) -> None:
        """Show a page."""
        parts = urlsplit(self.path)
        cookie, visit = self._visit()
        with visit.lock:
            text = shown(parts.path, self._pairs(parts.query), visit)
            if text is None:
                body = f"<p>There is no page at {escape(parts.path)}.</p>"
                self._answer(404, page("Not found", body, visit), cookie)
            else:
                self._answer(200, text, cookie)

    def do_POST(self) -> None:
        """Take a form, and show the page that follows."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > 100_000:
            self.close_connection = True
            self.send_error(413)
            return
        given = self._pairs(self.rfile.read(int(length)).decode("utf-8", "replace"))
        cookie, visit = self._visit()
        with visit.lock:
            where = done(urlsplit(self.path).path, given, visit)
        if where is None:
            self._answer(404, "<!doctype html><title>Not found</title><p>There is no such form.</p>", cookie)
        else:
            self._answer(303, "", cookie, Location=quote(where))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _pairs(self, text: str) -> dict[str, str]:
        return {name: values[-1].strip() for name, values in parse_qs(text, max_num_fields=50).items()}

    def _visit(self) -> tuple[str, Visit]:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get("visit")
        except CookieError:
            found = None
        return self.visits.of(found.value if found else None)

    def _answer(self, status: int, text: str, cookie: str, **headers: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Set-Cookie", f"visit={cookie}; Path=/; HttpOnly; SameSite=Lax")
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Site(ThreadingHTTPServer):
    """The shop, on loopback."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = PORT) -> None:
        super().__init__((HOST, port), type("VisitedHandler", (Handler,), {"visits": Visits()}))

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.server_port}/"


def main() -> int:
    """Serve, until interrupted or as long as a command runs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=int(os.environ.get("GUI_WEB_PORT", PORT)))
    parser.add_argument("command", nargs=argparse.REMAINDER, help="serve while it runs")
    given = parser.parse_args()
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    with Site(given.port) as site:
        if not command:
            sys.stdout.write(f"{site.url}\n")
            sys.stdout.flush()
            try:
                site.serve_forever()
            except KeyboardInterrupt:
                return 0
        Thread(target=site.serve_forever, daemon=True).start()
        try:
            return subprocess.run(
                command, env=os.environ | {"GUI_WEB_PORT": str(site.server_port)}, check=False
            ).returncode
        finally:
            site.shutdown()


if __name__ == "__main__":
    sys.exit(main())
