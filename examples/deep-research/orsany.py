"""The names and kinds of an invented country: what make_web.py makes its pages from."""

from __future__ import annotations

#: site by kind: the first part of a path
SITES = {
    "atlas": "Atlas of Orsany",
    "works": "Register of Works",
    "trade": "Trade Almanac",
    "culture": "Culture Guide",
    "voyages": "Log of Voyages",
}
KINDS = {
    "province": ("atlas", "Provinces"),
    "town": ("atlas", "Towns"),
    "river": ("atlas", "Rivers"),
    "lake": ("atlas", "Lakes and seas"),
    "mountain": ("atlas", "Mountains"),
    "island": ("atlas", "Islands"),
    "bridge": ("works", "Bridges"),
    "railway": ("works", "Railways"),
    "lighthouse": ("works", "Lighthouses"),
    "company": ("trade", "Companies"),
    "product": ("trade", "Products"),
    "museum": ("culture", "Museums"),
    "university": ("culture", "Universities"),
    "festival": ("culture", "Festivals"),
    "ship": ("voyages", "Ships"),
    "expedition": ("voyages", "Expeditions"),
}
#: province: capital, crop, mountains, lakes, rivers, towns (the capital first)
LAND = {
    "Tarnmoor": ("slate", "Mount Keld|Mount Arrin", "Lake Sorrow|Lake Ennet", "Esk|Wend|Tarrow",
                 "Keldwick|Brenholt|Caldry|Dunmarrow|Eskerby|Fennick"),
    "Low Vessing": ("barley", "Mount Ombry|Mount Pell", "Lake Vess|Lake Hollin", "Vessock|Pellow",
                    "Vessing|Garrowmouth|Hollinstead|Ivelport|Jarnsey|Ombridge"),
    "Eskwald": ("timber", "Mount Ulver|Mount Dray", "Lake Ulverin|Lake Brack", "Drayne|Brackenbeck|Ulvera",
                "Ulverdon|Lorrimere|Marnhaven|Nethersall|Draymouth|Pellbrook"),
    "Corvenna": ("wine", "Mount Corva|Mount Zell", "Lake Zellin", "Corvin|Zellach",
                 "Quarnby|Ravensall|Zellerby|Tolvane|Ambleforth|Sandrey"),
    "Hallin": ("wool", "Mount Hale|Mount Yarrin", "Lake Yarrow|Lake Orrel", "Halebourne|Orrelle",
               "Orvick|Wexholm|Yarrowgate|Farlow|Elmscar|Withern"),
    "Skerrow": ("herring", "Mount Skell|Mount Innis", "Lake Innis", "Skellwater|Innisbrook",
                "Skerrowby|Drosmouth|Netherkirk|Corrisand|Lunnhaven|Tarvick"),
}  # fmt: skip
SEAS = ("Grey Sound", "Orm Sea")
ISLANDS = ("Gannet Holm", "Far Lunn", "Stack Ollay", "Hesper Isle", "Merrin", "Black Ayre", "Sula Holm", "Tern Isle")
BRIDGES = ("Ostrel", "Halfmoon", "Weavers'", "Copper", "Long Ash", "Kestrel", "Saltgate", "Vigil", "Thornby", "Lindow",
           "Marram", "Penhallow", "Osprey", "Greywater")  # fmt: skip
RAILWAYS = ("Slate Line", "Barley Line", "Harbour Line", "Pass Line", "Lakes Line", "Vineyard Line", "Heather Line",
            "Strand Line")  # fmt: skip
LIGHTHOUSES = ("Ollay Light", "Gannet Light", "Hesper Light", "Merrin Light", "Ayre Light", "Lunn Light")
#: company: what it is, its trade, what it makes
COMPANIES = {
    "Ferrant Ironworks": ("engineering company", "bridges"),
    "Tolley and Wray": ("engineering company", "bridges"),
    "Quillon Engineering": ("engineering company", "bridges"),
    "Marsh Brothers": ("engineering company", "bridges"),
    "Drosmouth Yard": ("shipyard", "ships"),
    "Corrisand Slips": ("shipyard", "ships"),
    "Lunn Shipbuilders": ("shipyard", "ships"),
    "Northern Orsany Railways": ("railway company", "railways"),
    "Orsany Coast Railways": ("railway company", "railways"),
    "Halcyon Optics": ("optics company", "lenses|telescope:Halcyon Glass|lamp:Beacon Seven"),
    "Ember Lamp Works": ("lamp maker", "lamps|lamp:Petrel Lamp|stove:Ember Stove"),
    "Vantage Instruments": ("instrument maker", "instruments|compass:Vantage Compass|barometer:Stormglass"),
    "Sorrow Clockworks": ("clock maker", "clocks|chronometer:Sorrow Chronometer|clock:Longcase Nine"),
    "Merle Radio": ("radio maker", "radios|radio:Merle Twelve|radio:Merle Pocket"),
    "Tarvick Canvas": ("sailcloth maker", "canvas|tent:Ridge Tent|rucksack:Tarvick Pack"),
    "Wold Motors": ("vehicle maker", "vehicles|tractor:Wold Ox|motorcycle:Wold Hare"),
    "Brackley Cycles": ("bicycle maker", "bicycles|bicycle:Brackley Swift|bicycle:Brackley Porter"),
    "Ulver Paper": ("paper maker", "paper|notebook:Fieldbook Green"),
    "Pellow Ceramics": ("pottery", "pottery|teapot:Bluebell Pot|tile:Pellow Tile"),
    "Zellin Pianos": ("piano maker", "pianos|piano:Zellin Grand|harmonium:Chapel Reed"),
    "Hale Weavers": ("weaving company", "cloth|coat:Hale Greatcoat|blanket:Drover Blanket"),
    "Innis Tinned Foods": ("food company", "food|biscuit:Innis Biscuit|soup:Skipper Soup"),
    "Arrin Salt": ("salt company", "salt|salt:Arrin Flake"),
    "Corvin Press": ("printing company", "prints|atlas:Corvin Atlas|printing press:Corvin Platen"),
    "Grebe Boats": ("boat builder", "boats|canoe:Grebe Canoe|dinghy:Grebe Eleven"),
    "Yarrin Saddlery": ("leather company", "leather|saddle:Yarrin Saddle|boot:Moorland Boot"),
}
MODERN = ("radio maker", "vehicle maker")
SHIPS = ("Patient Star", "Grey Heron", "Halfpenny", "Winter Rose", "Silver Oar", "Northern Promise", "Lantern Girl",
         "Steadfast Wren")  # fmt: skip
EXPEDITIONS = ("Sound Survey", "Long Ice Voyage", "Brack Soundings", "Innis Traverse", "Outer Isles Census",
               "Ulver Ascent", "Deep Lake Expedition", "Heron Voyage", "Corva Traverse", "Winter Passage",
               "Sula Landing", "Yarrow Soundings")  # fmt: skip
MUSEUMS = ("Museum of Small Machines", "Lantern Museum", "Tide Museum", "Museum of Weather", "Paper Museum",
           "House of Clocks", "Orsany Ship Museum", "Museum of Salt", "Glass Gallery", "Museum of Bells",
           "Weaving Museum", "Railway Hall", "Museum of Maps", "Cellar Museum", "Museum of Voices", "Stone Gallery",
           "Harbour Museum", "Museum of Wheels")  # fmt: skip
HOUSES = ("granary", "customs house", "brewery", "mill", "tannery", "fire station", "school", "ropewalk", "warehouse")
UNIVERSITIES = ("Keldwick University", "University of the Sound", "Ulverdon Polytechnic", "Corvenna Academy",
                "Hallin University", "Skerrow Nautical College")  # fmt: skip
FESTIVALS = ("Lantern Week", "Barley Fair", "Feast of Oars", "Kite Days", "Slate Throwing", "Herring Sunday",
             "Night of Bells", "Wool Race", "Grape Treading", "Paper Boat Day")  # fmt: skip
MONTHS = ("March", "April", "May", "June", "July", "August", "September", "October")
COLOURS = ("Ash", "Blue", "Cedar", "Dusk", "Elm", "Flint", "Hazel", "Iris", "Juniper", "Lilac", "Moss", "Umber")
PAPERS = ("Folio", "Ledger", "Roll")
MATERIALS = ("limestone", "granite", "iron", "steel", "oak", "brick")

#: what pages of a kind say beside their facts
ASIDES = {
    "province": ("Roads in the province are narrow, and most villages can be reached only by a daily bus.",
                 "Its people are said to talk about the weather before they talk about anything else."),
    "town": ("The old houses around the market have steep roofs, and many of them still have a workshop on the ground floor.",
             "A ring of walnut trees marks where the town wall stood until it was taken down for its stones.",
             "Guests are advised to arrive before noon, because the shops close early outside the summer.",
             "From the tower of the town hall one looks over the roofs and far into the land on a clear day."),
    "river": ("In spring its meadows stand under water for weeks, and storks come to feed on them.",
              "Its upper valley is steep and wooded, and the lower one is wide and full of reeds.",
              "A footpath follows its bank for most of the way and is well marked with blue signs."),
    "lake": ("Its shores are flat in the east and rocky in the west, where the water is dark and still.",
             "Fog lies over the water on many mornings and lifts only when the wind turns towards noon."),
    "mountain": ("Snow stays in the hollows below the summit until early summer, and the last trees stand far below them.",
                 "Walkers are warned of loose stones on the northern side and of sudden fog in every season."),
    "island": ("The houses stand close together in the lee of the hill, with walls of dry stone around small gardens.",
               "There are no trees, and whoever needs timber waits for the boat or for the tide."),
    "bridge": ("Its railings were painted green at first and have been repainted in the same colour ever since.",
               "Engineers come to look at its foundations, which were laid in the dry season behind a wall of clay."),
    "railway": ("Its carriages have wooden benches and large windows, and dogs travel free of charge.",
                "Timetables hang in every station, and the clocks on the platforms are set by hand."),
    "lighthouse": ("Its light was turned by a clockwork that had to be wound by hand every four hours.",
                   "The walls are thick at the foot and narrow towards the lantern, and they are whitewashed every year."),
    "company": ("Visitors are shown around the works on the first day of each month and should wear sturdy shoes.",
                "Its sign above the gate has been the same from the beginning, and so has the colour of its vans.",
                "Apprentices stay for four years and leave with a piece that they have made by themselves."),
    "product": ("Collectors look for early pieces, which have a number stamped on the underside and a plain finish.",
                "Instructions came on a printed card, and spare parts could be ordered by post for decades."),
    "museum": ("Labels are short and written by hand, and the guards are glad to tell more to whoever asks.",
               "A small shop by the door sells cards and posters, and a room upstairs is kept for children."),
    "university": ("Lectures are open to the public in the winter months, and the reading room is open until midnight.",
                   "Its oldest building has a courtyard with a well, in which examinations were once held."),
    "festival": ("Tables are carried into the streets, and every household brings a dish that it does not cook otherwise.",
                 "A band leads the way to the market place, and whoever meets it has to follow to the end."),
    "ship": ("Her cabins are panelled with dark wood, and her galley is so small that the cook had to stand in the door.",
             "Models of her stand in many windows along the coast, and songs about her are sung in its inns."),
    "expedition": ("Its members kept diaries in which they wrote of wet clothes, dull food and good company.",
                   "The maps that came of it were in use for a long time and were only later replaced by photographs."),
}  # fmt: skip
