"""Make the data of this example, the same for the same seed: pages about an invented country, and papers about it.

python examples/deep-research/make_web.py [FOLDER]

A line of web.jsonl is a page: path, title, site, paragraphs; ``[name](path)`` in a paragraph is a link. A line of
archive.jsonl is a document that is not on that web: id, title, text. Nothing in them is real.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

from orsany import (
    ASIDES,
    BRIDGES,
    COLOURS,
    COMPANIES,
    EXPEDITIONS,
    FESTIVALS,
    HOUSES,
    ISLANDS,
    KINDS,
    LAND,
    LIGHTHOUSES,
    MATERIALS,
    MODERN,
    MONTHS,
    MUSEUMS,
    PAPERS,
    RAILWAYS,
    SEAS,
    SHIPS,
    SITES,
    UNIVERSITIES,
)

SEED = 20250311
BACK = 0.4  #: how often a page names those that name it


class World:
    """The pages, by name, and the facts that later pages need."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.pages: dict[str, dict] = {}
        self.facts: dict[str, dict] = {}

    @property
    def rows(self) -> list[dict]:
        """All pages, in the order of their paths."""
        return sorted([*self.pages.values(), *indexes(self)], key=lambda page: page["path"])

    def register(self, kind: str, name: str, **facts: object) -> None:
        """Give a page its path, and keep what is true of its subject."""
        slug = "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-").replace("--", "-")
        self.facts[name] = {"kind": kind, "path": f"/{KINDS[kind][0]}/{kind}/{slug}", **facts}

    def of(self, kind: str) -> list[str]:
        """The names of a kind, in the order of being registered."""
        return [name for name, facts in self.facts.items() if facts["kind"] == kind]

    def link(self, name: str) -> str:
        """The name as a link to its page."""
        return f"[{name}]({self.facts[name]['path']})"

    def tell(self, name: str, *sentences: str) -> None:
        """Give a page the next paragraph."""
        facts = self.facts[name]
        page = self.pages.setdefault(
            name,
            {"path": facts["path"], "title": name, "site": SITES[KINDS[facts["kind"]][0]], "paragraphs": []},
        )
        page["paragraphs"].append(" ".join(sentences))

    def some(self, names: list[str]) -> list[str]:
        """All of them or none: a page need not name the pages that name it, but it does not leave out some."""
        return names if self.rng.random() < BACK else []

    def pick(self, *choices: str) -> str:
        """One of several ways to say it."""
        return self.rng.choice(choices)


def number(value: int) -> str:
    """The number with separators."""
    return f"{value:,}"


def a(noun: str) -> str:
    """The noun with its article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def build() -> World:
    """The whole country, with its pages."""
    world = World(Random(SEED))
    plan_land(world)
    plan_makers(world)
    plan_voyages(world)
    plan_culture(world)
    for tell in (tell_land, tell_works, tell_trade, tell_voyages, tell_culture):
        tell(world)
    for name, page in world.pages.items():
        page["paragraphs"].append(" ".join(world.rng.sample(ASIDES[world.facts[name]["kind"]], 2)))
    return world


def plan_land(world: World) -> None:
    """Provinces, waters, mountains, islands and towns."""
    rng = world.rng
    areas = rng.sample(range(1900, 8400, 10), len(LAND))
    for order, (province, (crop, mountains, lakes, rivers, towns)) in enumerate(LAND.items()):
        names = towns.split("|")
        world.register("province", province, capital=names[0], crop=crop, towns=names, area=areas[order])
        for lake in lakes.split("|"):
            world.register("lake", lake, province=province, area=rng.randint(4, 95), depth=rng.randint(18, 240))
        for mountain in mountains.split("|"):
            world.register("mountain", mountain, province=province, height=rng.randint(640, 2980))
        local = lakes.split("|")
        for place, river in enumerate(rivers.split("|")):
            mouth = local[place % len(local)] if place < len(local) and rng.random() < 0.6 else SEAS[order % 2]
            source = mountains.split("|")[place % 2]
            world.register(
                "river",
                river,
                province=province,
                source=source,
                mouth=mouth,
                length=rng.randint(38, 310),
                towns=[],
                bridges=[],
            )
        for place, town in enumerate(names):
            river = rivers.split("|")[place % len(rivers.split("|"))]
            world.facts[river]["towns"].append(town)
            world.register(
                "town", town, province=province, river=river, people=rng.randint(2100, 88000),
                charter=rng.randint(1105, 1540), square=rng.choice(["Corn Square", "Bell Street", "Fountain Square", "Quay Street"]),
            )  # fmt: skip
    for sea in SEAS:
        world.register("lake", sea, province="", area=rng.randrange(11000, 42000, 100), depth=rng.randint(300, 900))
    for place, island in enumerate(ISLANDS):
        world.register(
            "island", island, sea=SEAS[place % 2], area=rng.randint(2, 61), people=rng.randint(14, 940),
            birds=rng.choice(["terns", "puffins", "gannets", "fulmars"]),
        )  # fmt: skip


def plan_makers(world: World) -> None:
    """Companies, what they make, and what they built; nothing is older than its maker."""
    rng = world.rng
    towns = world.of("town")
    homes = rng.sample(towns, len(COMPANIES))
    fixed = {
        "Drosmouth Yard": "Drosmouth",
        "Corrisand Slips": "Corrisand",
        "Lunn Shipbuilders": "Lunnhaven",
        "Tarvick Canvas": "Tarvick",
    }
    for home, (company, (what, makes)) in zip(homes, COMPANIES.items(), strict=True):
        founded = rng.randint(1904, 1922) if what in MODERN else rng.randint(1841, 1902)
        products = [item.split(":") for item in makes.split("|")[1:]]
        world.register(
            "company", company, what=what, trade=makes.split("|")[0], town=fixed.get(company, home), founded=founded,
            staff=rng.randint(38, 2900), products=[name for _, name in products], works=[],
        )  # fmt: skip
        for noun, name in products:
            world.register(
                "product", name, noun=noun, company=company, year=rng.randint(founded + 4, founded + 40),
                made=rng.randrange(1200, 96000, 50), used=[],
            )  # fmt: skip
    builders = [name for name, (_, makes) in COMPANIES.items() if makes == "bridges"]
    rivers = world.of("river")
    for place, short in enumerate(BRIDGES):
        builder, river = builders[place % len(builders)], rivers[place]
        name, town = f"{short} Bridge", world.facts[river]["towns"][-1]
        year = rng.randint(world.facts[builder]["founded"] + 5, 1958)
        world.register(
            "bridge", name, river=river, town=town, builder=builder, year=year, length=rng.randint(48, 730),
            arches=rng.randint(3, 17), material=rng.choice(MATERIALS),
        )  # fmt: skip
        world.facts[river]["bridges"].append(name)
        world.facts[builder]["works"].append(name)
    lines = [name for name, (_, makes) in COMPANIES.items() if makes == "railways"]
    for place, line in enumerate(RAILWAYS):
        owner = lines[place % 2]
        start, end = rng.sample(towns, 2)
        bridge = world.of("bridge")[place]
        world.register(
            "railway", line, owner=owner, start=start, end=end, bridge=bridge, length=rng.randint(31, 288), stations=rng.randint(6, 34),
            year=max(world.facts[owner]["founded"], world.facts[bridge]["year"]) + rng.randint(1, 12),
        )  # fmt: skip
        world.facts[owner]["works"].append(line)
    for place, light in enumerate(LIGHTHOUSES):
        island = ("Stack Ollay", "Gannet Holm", "Hesper Isle", "Merrin", "Black Ayre", "Far Lunn")[place]
        builder = builders[(place + 1) % len(builders)]
        world.register(
            "lighthouse", light, island=island, builder=builder, height=rng.randint(17, 64), steps=rng.randint(70, 290),
            year=rng.randint(world.facts[builder]["founded"] + 3, 1931), lamp=("Beacon Seven", "Petrel Lamp")[place % 2],
        )  # fmt: skip
        world.facts[builder]["works"].append(light)


def plan_voyages(world: World) -> None:
    """Ships, and expeditions that took things which were there by then."""
    rng = world.rng
    yards = [name for name, (what, _) in COMPANIES.items() if what == "shipyard"]
    for place, ship in enumerate(SHIPS):
        yard = yards[place % len(yards)]
        world.register(
            "ship", ship, yard=yard, year=rng.randint(world.facts[yard]["founded"] + 4, 1931), length=rng.randint(17, 78),
            crew=rng.randint(9, 64), masts=rng.randint(2, 4), voyages=[],
        )  # fmt: skip
        world.facts[yard]["works"].append(ship)
    goals = {
        "Sound Survey": "Grey Sound", "Long Ice Voyage": "Orm Sea", "Brack Soundings": "Lake Brack", "Innis Traverse": "Mount Innis",
        "Outer Isles Census": "Far Lunn", "Ulver Ascent": "Mount Ulver", "Deep Lake Expedition": "Lake Vess", "Heron Voyage": "Hesper Isle",
        "Corva Traverse": "Mount Corva", "Winter Passage": "Black Ayre", "Sula Landing": "Sula Holm", "Yarrow Soundings": "Lake Yarrow",
    }  # fmt: skip
    gear = [name for name in world.of("product") if world.facts[name]["noun"] in
            ("lamp", "stove", "compass", "barometer", "chronometer", "tent", "rucksack", "notebook", "biscuit", "soup", "coat", "telescope")]  # fmt: skip
    for place, expedition in enumerate(EXPEDITIONS):
        ship, taken = SHIPS[place % len(SHIPS)], rng.sample(gear, 2)
        first = max(world.facts[ship]["year"], *(world.facts[item]["year"] for item in taken)) + 1
        world.register(
            "expedition", expedition, ship=ship, goal=goals[expedition], port=world.facts[world.facts[ship]["yard"]]["town"] if place % 3
            else rng.choice(world.of("town")), year=rng.randint(first, first + 14), days=rng.randint(21, 410), gear=taken, members=rng.randint(5, 33),
        )  # fmt: skip
        world.facts[ship]["voyages"].append(expedition)
        for item in taken:
            world.facts[item]["used"].append(expedition)


def plan_culture(world: World) -> None:
    """Museums of what is older than they are, universities and festivals."""
    rng = world.rng
    towns = world.of("town")
    shown = [*world.of("ship"), *rng.sample(world.of("product"), len(MUSEUMS) - len(SHIPS))]
    homes = rng.sample(towns, len(MUSEUMS))
    for museum, thing, town in zip(MUSEUMS, shown, homes, strict=True):
        facts = world.facts[thing]
        since = max(
            [facts["year"], *(world.facts[item]["year"] for item in facts.get("voyages", facts.get("used", [])))]
        )
        world.register(
            "museum", museum, town=town, shows=thing, house=rng.choice(HOUSES), year=rng.randint(max(since + 3, 1924), since + 90),
            rooms=rng.randint(4, 41), visitors=rng.randrange(3200, 148000, 100),
        )  # fmt: skip
        facts["museum"] = museum
    for university, town, mountain in zip(
        UNIVERSITIES,
        ("Keldwick", "Garrowmouth", "Ulverdon", "Quarnby", "Orvick", "Drosmouth"),
        world.of("mountain")[::2],
        strict=True,
    ):
        world.register(
            "university", university, town=town, mountain=mountain, year=rng.randint(1560, 1889), students=rng.randint(900, 14000),
            telescope=rng.randint(1890, 1966),
        )  # fmt: skip
    for festival, town in zip(FESTIVALS, rng.sample(towns, len(FESTIVALS)), strict=True):
        world.register(
            "festival",
            festival,
            town=town,
            month=rng.choice(MONTHS),
            year=rng.randint(1703, 1951),
            days=rng.randint(2, 9),
        )


def tell_land(world: World) -> None:
    """The pages of the atlas."""
    link = world.link
    for name in world.of("province"):
        facts = world.facts[name]
        world.tell(
            name,
            f"{name} is a province of Orsany.",
            f"The capital of {name} is {link(facts['capital'])}.",
            f"{name} covers {number(facts['area'])} square kilometres and is known for its {facts['crop']}.",
        )
        high = [item for item in world.of("mountain") if world.facts[item]["province"] == name]
        wet = [item for item in (*world.of("river"), *world.of("lake")) if world.facts[item].get("province") == name]
        world.tell(
            name,
            f"Two mountains stand in the province, {link(high[0])} and {link(high[1])}.",
            f"Its waters are {listed(world, wet)}.",
        )
        world.tell(name, f"Beside the capital, the towns of the province are {listed(world, facts['towns'][1:])}.")
    for name in world.of("town"):
        facts = world.facts[name]
        what = "port town" if name.endswith(("mouth", "port", "haven")) else "town"
        capital = " and its capital" if world.facts[facts["province"]]["capital"] == name else ""
        world.tell(
            name,
            f"{name} is a {what} in the province of {link(facts['province'])}{capital}.",
            f"{name} lies on the River {link(facts['river'])}.",
            world.pick(
                f"The town has {number(facts['people'])} inhabitants.",
                f"The town has a population of {number(facts['people'])}.",
            ),
            f"{name} received its charter in {facts['charter']}.",
        )
        seats = [item for item in world.of("company") if world.facts[item]["town"] == name]
        sights = [item for item in (*world.of("museum"), *world.of("university")) if world.facts[item]["town"] == name]
        feasts = [item for item in world.of("festival") if world.facts[item]["town"] == name]
        said = [f"The market is held on {facts['square']} every {world.pick('Tuesday', 'Thursday', 'Saturday')}."]
        said += [f"{link(item)} is based in {name}." for item in world.some(seats)]
        said += [
            f"Visitors come for the {link(item)}."
            if world.facts[item]["kind"] == "museum"
            else f"Its students attend the {link(item)}."
            for item in world.some(sights)
        ]
        said += [f"Each year the town holds {link(item)}." for item in world.some(feasts)]
        world.tell(name, *said)
    for name in world.of("river"):
        facts = world.facts[name]
        world.tell(
            name,
            f"The {name} is a river in the province of {link(facts['province'])}.",
            f"The {name} rises on {link(facts['source'])} and flows into {sea(world, facts['mouth'])}.",
            world.pick(
                f"The river is {facts['length']} kilometres long.",
                f"The {name} has a length of {facts['length']} kilometres.",
            ),
        )
        world.tell(
            name,
            f"On its way it passes {listed(world, facts['towns'])}.",
            *(f"The river is crossed by the {link(bridge)}." for bridge in facts["bridges"]),
        )
    for name in world.of("lake"):
        facts = world.facts[name]
        feeds = [item for item in world.of("river") if world.facts[item]["mouth"] == name]
        isles = [item for item in world.of("island") if world.facts[item]["sea"] == name]
        trips = [item for item in world.of("expedition") if world.facts[item]["goal"] == name]
        where = (
            f"is a lake in the province of {link(facts['province'])}"
            if facts["province"]
            else "is a sea off the coast of Orsany"
        )
        article = "" if name.startswith("Lake") else "The "
        world.tell(
            name,
            f"{article}{name} {where}.",
            f"{article}{name} covers {number(facts['area'])} square kilometres and is {facts['depth']} metres deep at its deepest point.",
        )
        said = [f"It is fed by the {link(item)}." for item in feeds[:1]] if len(feeds) == 1 else []
        said += [f"Several rivers end here: {listed(world, feeds)}."] if len(feeds) > 1 else []
        said += [f"Its islands are {listed(world, isles)}."] if isles else []
        said += [f"It was surveyed by the {link(item)}." for item in world.some(trips)]
        world.tell(name, *(said or ["Its water is too cold for bathing."]))
    for name in world.of("mountain"):
        facts = world.facts[name]
        springs = [item for item in world.of("river") if world.facts[item]["source"] == name]
        trips = [item for item in world.of("expedition") if world.facts[item]["goal"] == name]
        domes = [item for item in world.of("university") if world.facts[item]["mountain"] == name]
        world.tell(
            name,
            f"{name} is a mountain in the province of {link(facts['province'])}.",
            f"{name} is {number(facts['height'])} metres high.",
        )
        said = [f"The River {link(item)} rises on its slopes." for item in world.some(springs)]
        said += [f"The observatory on its summit belongs to {the(item)}{link(item)}." for item in world.some(domes)]
        said += [f"It was first mapped by the {link(item)}." for item in world.some(trips)]
        world.tell(name, *(said or ["A path of two hours leads to the summit."]))
    for name in world.of("island"):
        facts = world.facts[name]
        lights = [item for item in world.of("lighthouse") if world.facts[item]["island"] == name]
        trips = [item for item in world.of("expedition") if world.facts[item]["goal"] == name]
        world.tell(
            name,
            f"{name} is an island in the {link(facts['sea'])}.",
            f"{name} covers {facts['area']} square kilometres and has {facts['people']} inhabitants.",
            f"The island is known for its {facts['birds']}.",
        )
        said = [f"{link(item)} stands on its western cape." for item in world.some(lights)]
        said += [f"It was visited by the {link(item)}." for item in world.some(trips)]
        world.tell(name, *(said or ["A boat calls once a week in summer."]))


def tell_works(world: World) -> None:
    """The pages of bridges, railways and lighthouses."""
    link = world.link
    for name in world.of("bridge"):
        facts = world.facts[name]
        world.tell(
            name,
            f"The {name} is {a(facts['material'])} bridge in {link(facts['town'])}.",
            world.pick(
                f"The bridge crosses the River {link(facts['river'])}.",
                f"The {name} crosses the River {link(facts['river'])}.",
            ),
            f"It was built by {link(facts['builder'])} and opened in {facts['year']}.",
            f"The bridge is {facts['length']} metres long and has {facts['arches']} arches.",
        )
        lines = [item for item in world.of("railway") if world.facts[item]["bridge"] == name]
        world.tell(
            name,
            *(
                [f"The {link(item)} runs over its upper deck." for item in world.some(lines)]
                or ["Carts paid a toll on it for many years."]
            ),
        )
    for name in world.of("railway"):
        facts = world.facts[name]
        world.tell(
            name,
            f"The {name} is a railway line from {link(facts['start'])} to {link(facts['end'])}.",
            f"It is operated by {link(facts['owner'])}.",
            f"The line was opened in {facts['year']}.",
            f"The {name} is {facts['length']} kilometres long and has {facts['stations']} stations.",
        )
        world.tell(
            name,
            f"The line uses the {link(facts['bridge'])}.",
            f"Trains leave {facts['start']} every {world.pick('hour', 'two hours', 'half hour')}.",
        )
    for name in world.of("lighthouse"):
        facts = world.facts[name]
        world.tell(
            name,
            f"{name} is a lighthouse on the island of {link(facts['island'])}.",
            f"{name} was built by {link(facts['builder'])} in {facts['year']}.",
            f"The lighthouse is {facts['height']} metres high and has {facts['steps']} steps.",
            f"Its keepers lit a {link(facts['lamp'])} every evening.",
        )


def tell_trade(world: World) -> None:
    """The pages of companies and products."""
    link = world.link
    for name in world.of("company"):
        facts = world.facts[name]
        world.tell(
            name,
            f"{name} is {a(facts['what'])} based in {link(facts['town'])}.",
            world.pick(f"{name} was founded in {facts['founded']}.", f"The company was founded in {facts['founded']}."),
            f"The company employs {number(facts['staff'])} people and is known for its {facts['trade']}.",
        )
        said = [f"{name} makes the {link(item)}." for item in facts["products"]]
        verb = {"railways": "operates", "ships": "built"}.get(facts["trade"], "built")
        said += [f"{name} {verb} {the(item)}{link(item)}." for item in world.some(facts["works"])]
        world.tell(name, *said)
    for name in world.of("product"):
        facts = world.facts[name]
        world.tell(
            name,
            f"The {name} is {a(facts['noun'])} made by {link(facts['company'])}.",
            f"The {name} was introduced in {facts['year']}.",
            world.pick(
                f"Its makers sold {number(facts['made'])} of them.", f"In all {number(facts['made'])} were sold."
            ),
        )
        said = [f"The {name} was carried on the {link(item)}." for item in world.some(facts["used"])]
        said += [f"An early one is shown at the {link(facts['museum'])}."] if "museum" in facts else []
        world.tell(name, *(said or [f"The {name} won a medal at the trade fair."]))


def tell_voyages(world: World) -> None:
    """The pages of ships and expeditions."""
    link = world.link
    for name in world.of("ship"):
        facts = world.facts[name]
        world.tell(
            name,
            f"The {name} is a ship with {facts['masts']} masts.",
            f"The {name} was built by {link(facts['yard'])} and launched in {facts['year']}.",
            f"The ship is {facts['length']} metres long and had a crew of {facts['crew']}.",
        )
        said = [f"The ship sailed on the {link(item)}." for item in world.some(facts["voyages"])]
        world.tell(name, *said, f"The {name} is kept at the {link(facts['museum'])}.")
    for name in world.of("expedition"):
        facts = world.facts[name]
        goal = facts["goal"]
        verb = {"lake": "surveyed", "mountain": "mapped", "island": "visited"}[world.facts[goal]["kind"]]
        world.tell(
            name,
            f"The {name} was an expedition of {facts['year']}.",
            f"The {name} set out from {link(facts['port'])} aboard the {link(facts['ship'])}.",
            f"The expedition {verb} {sea(world, goal)}.",
            f"The {name} lasted {facts['days']} days and had {facts['members']} members.",
        )
        first, second = facts["gear"]
        world.tell(name, f"Its equipment included the {link(first)} and the {link(second)}.")


def tell_culture(world: World) -> None:
    """The pages of museums, universities and festivals."""
    link = world.link
    for name in world.of("museum"):
        facts = world.facts[name]
        world.tell(
            name,
            f"The {name} is a museum in {link(facts['town'])}.",
            f"The museum was opened in {facts['year']} in a former {facts['house']}.",
            f"The {name} has {facts['rooms']} rooms and receives {number(facts['visitors'])} visitors a year.",
        )
        world.tell(
            name,
            f"The {name} shows the {link(facts['shows'])}.",
            f"Entrance is free on {world.pick('Mondays', 'Sundays', 'Fridays')}.",
        )
    for name in world.of("university"):
        facts = world.facts[name]
        before = the(name).capitalize()
        world.tell(
            name,
            f"{before}{name} is a university in {link(facts['town'])}.",
            f"The university was founded in {facts['year']}.",
            f"{before}{name} has {number(facts['students'])} students.",
        )
        world.tell(
            name,
            f"The university runs an observatory on {link(facts['mountain'])}.",
            f"The observatory was completed in {facts['telescope']}.",
        )
    for name in world.of("festival"):
        facts = world.facts[name]
        world.tell(
            name,
            f"{name} is a festival in {link(facts['town'])}.",
            f"{name} takes place in {facts['month']} and lasts {facts['days']} days.",
            f"The festival was first held in {facts['year']}.",
        )


def the(name: str) -> str:
    """The article that a name has in the middle of a sentence."""
    return (
        ""
        if name.split()[0] in ("Mount", "Lake") or name.endswith(("Light", "University", "Academy", "Polytechnic"))
        else "the "
    )


def sea(world: World, name: str) -> str:
    """A link as it stands in the middle of a sentence, for what may be a sea."""
    kind = world.facts[name]["kind"]
    return f"{'the ' if name in SEAS else ''}{world.link(name)}" if kind == "lake" else world.link(name)


def listed(world: World, names: list[str]) -> str:
    """Links, parted by commas, the last by and."""
    links = [f"{'the ' if world.facts[name]['kind'] == 'river' else ''}{world.link(name)}" for name in names]
    return links[0] if len(links) == 1 else f"{', '.join(links[:-1])} and {links[-1]}"


def indexes(world: World) -> list[dict]:
    """A page of links for every kind, and the front page."""
    found = []
    for kind, (site, heading) in KINDS.items():
        links = ", ".join(world.link(name) for name in sorted(world.of(kind)))
        said = f"{heading} of Orsany that have a page in the {SITES[site]}: {links}."
        found.append({"path": f"/{site}/{kind}", "title": heading, "site": SITES[site], "paragraphs": [said]})
    fronts = ", ".join(f"[{heading}](/{site}/{kind})" for kind, (site, heading) in KINDS.items())
    said = f"Orsany is a country that does not exist. Begin with one of these lists: {fronts}."
    return [{"path": "/", "title": "Orsany on one page", "site": "Orsany", "paragraphs": [said]}, *found]


def archive(world: World) -> list[dict]:
    """Papers that are not on the web, each about something that is."""
    kinds = ("bridge", "ship", "expedition", "museum", "company", "university", "lighthouse", "railway")
    found = []
    for order, colour in enumerate(COLOURS):
        for place, paper in enumerate(PAPERS):
            name = f"{colour} {paper}"
            subject = world.rng.choice(world.of(kinds[(order + place) % len(kinds)]))
            is_bare = world.facts[subject]["kind"] == "company" or not the(subject)
            said = (
                f"The {name} is a {paper.lower()} in the state archive of Orsany.",
                f"The {name} describes {'' if is_bare else 'the '}{subject}.",
                f"It was bound in {world.rng.randint(1946, 1999)} and has {world.rng.randint(60, 900)} pages.",
                world.pick("Its cover is stained.", "Two leaves of it are missing.", "It may be read on request."),
            )
            found.append({"id": f"paper-{len(found) + 1:02}", "title": name, "text": " ".join(said)})
    return found


def written(rows: list[dict]) -> str:
    """The rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    made = build()
    (folder / "web.jsonl").write_text(written(made.rows), encoding="utf-8")
    (folder / "archive.jsonl").write_text(written(archive(made)), encoding="utf-8")
