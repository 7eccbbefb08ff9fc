"""A data set in the form of SemArt that may be given away: painted, titled and described here.

Only the names of the artists are real. The tables are as awkward as those of SemArt, so that what reads them
reads the real ones: cp1252 with bytes 0x92 and 0x9e, doubled quotes, lost letters, unknown dates, a repeated row.
"""

# ruff: noqa: E501, RUF001 - sentences stay whole on their lines, and the typographic apostrophe is meant

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semart_vectors.demo.paintings import paint
from semart_vectors.errors import MetadataError
from semart_vectors.files import disk_errors, write_aside

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_COLUMNS = (
    "IMAGE_FILE",
    "DESCRIPTION",
    "AUTHOR",
    "TITLE",
    "TECHNIQUE",
    "DATE",
    "TYPE",
    "SCHOOL",
    "TIMEFRAME",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Where a sample lies, and how much it holds."""

    directory: Path
    """The folder with the three tables."""
    images_dir: Path
    """The folder with the images, `Images` in `directory`."""
    n_rows: int
    """Rows in the three tables together; one of them repeats the image of another."""
    n_images: int
    """Image files; two of them hold the very same bytes."""


class _Painter(NamedTuple):
    """An artist of the sample: how many paintings, of what, and when."""

    school: str
    paintings: int
    first: int
    last: int
    motifs: tuple[str, ...]
    on: tuple[str, ...] = ("Oil on canvas", "Oil on panel", "Oil on canvas", "Oil on copper")


_WOOD = ("Tempera on panel", "Egg tempera on wood", "Tempera and gold on panel", "Fresco")
_PAPER = ("Red chalk on paper", "Pen and brown ink on paper", "Black and white chalk on paper")
_OAK = ("Oil on oak panel", "Oil on wood", "Oil on panel", "Oil on lime panel")

# Nine painters stay after the cleaning; the one with exactly fifteen, the unknown master and the last five go.
_PAINTERS = {
    "AVERCAMP, Hendrick": _Painter("Dutch", 15, 1608, 1634, ("skaters", "mill", "skaters", "river"), _OAK),
    "BRUEGEL, Pieter the Elder": _Painter(
        "Flemish", 17, 1552, 1569, ("skaters", "icarus", "battle", "tavern", "river", "fleet"), _OAK
    ),
    "CANALETTO": _Painter("Italian", 17, 1722, 1764, ("city", "city", "river", "ceiling", "trees", "city")),
    "CRANACH, Lucas the Elder": _Painter(
        "German", 16, 1502, 1549, ("lady", "centaur", "madonna", "man", "saints", "head"), _OAK
    ),
    "DADDI, Bernardo": _Painter(
        "Italian", 16, 1312, 1347, ("madonna", "saints", "madonna", "ceiling"), _WOOD
    ),
    "DELACROIX, Eug?ne": _Painter(
        "French", 17, 1822, 1862, ("battle", "fleet", "lady", "centaur", "figure", "icarus")
    ),
    "HOOCH, Pieter de": _Painter("Dutch", 16, 1652, 1683, ("room", "tavern", "room", "lady", "fruit")),
    "JUEL, Jens J?rgensen": _Painter(
        "Danish", 16, 1767, 1799, ("lady", "man", "mill", "river", "head", "room")
    ),
    "PEETERS, Clara": _Painter(
        "Flemish", 16, 1607, 1649, ("fruit", "flowers", "fruit", "flowers", "lady"), _OAK
    ),
    "TURA, Cosm?": _Painter(
        "Italian", 16, 1452, 1494, ("saints", "madonna", "man", "icarus", "ceiling"), _WOOD
    ),
    "UNKNOWN MASTER, Flemish": _Painter(
        "Flemish", 16, 1440, 1540, ("madonna", "man", "saints", "lady", "flowers"), _OAK
    ),
    "BERRUGUETE, Pedro": _Painter("Spanish", 1, 1483, 1499, ("saints",), _WOOD),
    "CHARDIN, Jean-Baptiste-Siméon": _Painter("French", 2, 1728, 1766, ("fruit", "room")),
    "DÜRER, Albrecht": _Painter("German", 1, 1494, 1526, ("trees",), _OAK),
    "GÉRARD, François": _Painter("French", 1, 1801, 1829, ("lady",)),
    "MUNKÁCSY, Mihály": _Painter("Hungarian", 1, 1869, 1894, ("tavern",)),
}

_KIND_OF = {
    "river": "landscape", "mill": "landscape", "man": "portrait", "lady": "portrait", "fruit": "still-life",
    "flowers": "still-life", "room": "interior", "madonna": "religious", "saints": "religious",
    "centaur": "mythological", "icarus": "mythological", "tavern": "genre", "skaters": "genre",
    "battle": "historical", "fleet": "historical", "city": "other", "ceiling": "other", "head": "study",
    "trees": "study", "figure": "study",
}  # fmt: skip

_TITLES = {
    "river": ("River Landscape", "Valley with a Winding River", "The Bend of the River", "Two Trees by the Water"),
    "mill": ("The Mill on the Dyke", "Landscape with a Windmill", "Wide Plain with a Mill", "The Miller’s Road"),
    "man": ("Portrait of a Man", "Portrait of a Scholar", "A Gentleman Aged 34", "Portrait of a Merchant"),
    "lady": ("Portrait of a Lady", "Young Woman with Pearls", "Portrait of a Widow", "A Burgher’s Daughter"),
    "fruit": ("Still-Life with Fruit and a Jug", "Still-Life with a Bowl", "Fruit on a Table", "Grapes and Apples"),
    "flowers": ("Flowers in a Vase", "Bouquet of Anemones", "Still-Life with Flowers", "A Spring Bouquet"),
    "room": ("Woman in a Tiled Room", "Interior with a Window", "The Morning Room", "Room with a Checkered Floor"),
    "madonna": ("Madonna and Child with Angels", "Madonna Enthroned", "Virgin and Child", "Maest? (centre panel)"),
    "saints": ("Saints in an Arcade", "Standing Saints", "Saints with Book and Palm", "Polyptych (main register)"),
    "centaur": ("Centaur with a Bow", "Chiron in the Wood", "The Centaur Nessus", "A Centaur Hunting"),
    "icarus": ("The Flight of Icarus", "Icarus above the Sea", "Zephyr", "Daedalus Leaving Crete"),
    "tavern": ("Tavern by Candlelight", "Company at a Table", "The Long Supper", "Peasants Drinking"),
    "skaters": ("Winter Scene with Skaters", "Village on the Ice", "Frozen Canal", "The Great Frost"),
    "battle": ("The Meeting of the Lances", "Cavalry Battle", "Battle by a Burning Village", "The Last Charge"),
    "fleet": ("The Fleet at Anchor", "Ships in a Light Breeze", "Naval Battle", "Return of the Squadron"),
    "city": ("View of a Quay with a Tower", "Capriccio with Domes", "City on the Water", "The Harbour Front"),
    "ceiling": ("Ornament of a Vault", "Ceiling with Rosettes", "Decorative Panel", "Rosette (detail)"),
    "head": ("Study of a Head", "Head of a Model", "Study for a Portrait", "Head, Turned Slightly"),
    "trees": ("Study of Trees", "Landscape Sketch", "Trees by a Road (recto)", "Leaf from a Sketchbook"),
    "figure": ("Study of a Figure", "Sheet of Studies", "Study for a Mythology", "Figure in Movement (verso)"),
}  # fmt: skip

_ODD_TITLES = {
    ("BRUEGEL, Pieter the Elder", 0): "Skaters outside Sankt Jürgen",
    ("BRUEGEL, Pieter the Elder", 3): "Who Has Lost the Wager?",
    ("BRUEGEL, Pieter the Elder", 5): "Naval Review at the Porto das Nações",
    ("CANALETTO", 2): "The River Lužnice below the Bridge",
    ("CRANACH, Lucas the Elder", 4): "Saints from the Convent of Mäuerchen",
    ("CRANACH, Lucas the Elder", 0): "Die schöne Nürnbergerin",
    ("DADDI, Bernardo", 2): "Madonna della Piet?",
    ("DELACROIX, Eug?ne", 0): "The Emir’s Guard Crossing the Ford",
    ("DELACROIX, Eug?ne", 2): "Mademoiselle Éléonore at the Opéra",
    ("HOOCH, Pieter de", 4): 'Still-Life with the "Blue" Bowl',
    ("JUEL, Jens J?rgensen", 0): "Madame de la Ferti?re",
    ("JUEL, Jens J?rgensen", 1): "A Naval Officer (the Painter’s Cousin?)",
}

_SAYS = {
    "river": (
        "A river comes out of the hills and bends twice before it leaves the picture.",
        "The trees at both sides stand like curtains and let the eye walk slowly into the distance.",
        "Blue is kept for the farthest ridge, an old remedy for making a small picture deep.",
    ),
    "mill": (
        "Almost three quarters of the picture belong to the sky; the mill is there to measure it.",
        "The sails stand still, and one waits for the wind with the miller.",
        "A pale road runs along the dyke and past the mill without meeting anybody.",
    ),
    "man": (
        "The sitter looks past us with the patience of somebody who has been told not to move.",
        "A dark coat on a dark ground leaves all the light to the face and the linen.",
        "Neither inscription nor coat of arms tells us who he was.",
    ),
    "lady": (
        "The pearls are set down with one touch of grey and one of white each.",
        "She wears her best dress and an expression that gives nothing away.",
        "The trimming of the neckline catches the light that the ground swallows.",
    ),
    "fruit": (
        "The fruit is piled higher than any cook would dare.",
        "A jug stands behind the bowl and throws its shadow on the cloth.",
        "A bunch of grapes has been left at the edge of the table, within reach of the viewer.",
    ),
    "flowers": (
        "Flowers of different months stand together in one vase, as they only can in paint.",
        "The bouquet opens like a fan, each stem led back to the neck of the vase.",
        "The window of the studio is reflected, very small, in the glaze.",
    ),
    "room": (
        "Light enters from a window at the side and crosses the tiles to a woman who stands quite still.",
        "The beams of the ceiling and the lines of the floor meet at the height of her eyes.",
        "On the table there are a jug and a single fruit, and nothing else happens.",
    ),
    "madonna": (
        "The Virgin sits on a throne, wrapped in a blue mantle with a gilt border, the Child on her arm.",
        "Two angels attend the throne; there is room for little more than their wings.",
        "The gold ground has been worked with small strokes that still catch the light of candles.",
    ),
    "saints": (
        "The saints stand side by side under one arch and do not speak to one another.",
        "Book, palm and staff would have been enough for everybody to name them; today we are less sure.",
        "Their robes alternate warm and cool like the stones of a mosaic.",
    ),
    "centaur": (
        "The centaur has drawn his bow at something that is hidden from us.",
        "A wreath of leaves in his hair says that this is a feast, and not yet a war.",
        "Horse and man are joined with the calm of a painter who had never doubted that such creatures lived.",
    ),
    "icarus": (
        "The young man is still rising, and the wax still holds.",
        "Far below a ship goes on with its voyage.",
        "His scarf flies behind him, the only thing in the picture that obeys the wind.",
    ),
    "tavern": (
        "The company has lined up behind the table as if the painter had paid for the evening.",
        "One candle does all the work of lighting hats, mugs and faces.",
        "Bread, fruit and tin mugs are counted out on the cloth like the objects of a still-life.",
    ),
    "skaters": (
        "The whole village is on the ice, rich and poor in the same cold.",
        "Bare trees frame the scene and give the black of their branches to the white of the ground.",
        "Snow lies on the roofs, but somebody has lit the fire: the windows are yellow.",
    ),
    "battle": (
        "Two riders have met before the armies, and their lances cross in the middle of the picture.",
        "Behind them the infantry is drawn up in rows of identical helmets.",
        "The smoke at the horizon keeps the outcome open.",
    ),
    "fleet": (
        "The ships carry full sail, though the water is hardly troubled.",
        "White smoke between the hulls may be a salute, or the beginning of the battle.",
        "The nearest hull is painted plank by plank, the farthest with three strokes.",
    ),
    "city": (
        "Palaces and domes are lined up along the quay, and once more upside down in the water.",
        "No such city stands anywhere: the tower belongs to one place and the domes to another.",
        "Two boats are rowed across the reflection and break it.",
    ),
    "ceiling": (
        "Rings of petals turn around a gilt boss, each set with a stone of another colour.",
        "The pattern could be continued without end, and in the neighbouring room it is.",
        "Such panels were painted by the yard, yet no two petals here are quite alike.",
    ),
    "head": (
        "The head was drawn quickly, with the hatching running on beyond the outline.",
        "White chalk was added where the light falls, on the forehead and the collar.",
    ),
    "trees": (
        "A few lines give the course of the water; the trees took more trouble.",
        "The sheet was folded twice and must have travelled in a pocket.",
    ),
    "figure": (
        "The artist tried out the pose before he trusted it to the canvas.",
        "Sea, trees and sky are only hinted at around the figure.",
    ),
}  # fmt: skip

_REMARKS = (
    "The picture was made for a private room and is best seen from close by.",
    "Nothing is known about the person who ordered it, except that the bill was paid late and not in full.",
    'An old inventory calls it "the one by the stairs", which tells us at least where it used to hang.',
    "The paint is thin throughout, and in the shadows the brown of the ground is left to speak for itself.",
    "A later hand has strengthened the outlines, with more zeal than was needed.",
    "The signature is false, but the painting is not.",
    "It was cleaned a generation ago, when a yellow varnish was taken off and the sky turned out to be blue.",
    "The composition must have pleased: the workshop repeated it, changing little more than the colours.",
    "Scholars have compared it with a lost work that is known from an engraving, a comparison it survives well.",
    "A strip of a few centimetres has been added at the top, possibly to make it fit a frame that was already there.",
    "The colours are few and carefully spaced, and the eye goes round them without ever being in a hurry.",
    "Whoever looks for a moral will find one, but the painter does not insist.",
    "For a long time it was attributed to a pupil, on no better grounds than its good humour.",
)  # fmt: skip

_REPEATED = (
    "One of a pair.",
    "The painting belongs to a series that was made for the same house and was scattered when the house was sold.",
    "The attribution is not accepted by everybody.",
)


class _Entry(NamedTuple):
    """A row of the tables, and what to paint for it; entries with one picture number share every byte."""

    row: dict[str, str]
    motif: str
    picture: int


def make_sample(directory: Path, *, seed: int = 7) -> Sample:
    """Paint and write the sample, or find it there; the same seed gives the same bytes.

    The tables come last, so where they are, all is there; what an interrupted call left is painted over.

    Args:
        directory: A folder that is new, empty, or holds this very sample.
        seed: Another number gives another collection.

    Raises:
        MetadataError: the folder holds something else, which is left as it is.
        CheckpointDiskError: the disk refused to write.
    """
    rng = np.random.default_rng(seed)
    entries = _entries(rng)
    tables = _tables([entry.row for entry in entries], rng)
    images = {entry.row["IMAGE_FILE"]: entry for entry in entries}
    images_dir = directory / "Images"
    sample = Sample(directory=directory, images_dir=images_dir, n_rows=len(entries) + 1, n_images=len(images))

    found = {name: (directory / name).read_bytes() for name in tables if (directory / name).exists()}
    painted = {path.name for path in images_dir.iterdir()} if images_dir.exists() else set()
    if not (
        found.items() <= tables.items() and {name.removesuffix(".part") for name in painted} <= images.keys()
    ):
        raise MetadataError(f"{directory} holds another collection: choose an empty folder for the sample")
    if found == tables and painted == images.keys():
        return sample

    with disk_errors(directory):
        images_dir.mkdir(parents=True, exist_ok=True)
        for name, entry in images.items():
            picture = np.random.default_rng([seed, entry.picture])
            aside = images_dir / f"{name}.part"
            painting = paint(
                entry.row["TYPE"], picture, motif=entry.motif, size=int(picture.integers(220, 281))
            )
            painting.save(aside, "JPEG", quality=88)
            aside.replace(images_dir / name)
    for name, text in tables.items():
        with write_aside(directory / name) as aside:
            aside.write_bytes(text)
    return sample


def _entries(rng: np.random.Generator) -> list[_Entry]:
    """Return all paintings, each once, painter by painter."""
    entries: list[_Entry] = []
    number = 1000
    for author, painter in _PAINTERS.items():
        for n, motif in enumerate(islice(cycle(painter.motifs), painter.paintings)):
            number += int(rng.integers(1, 90))
            year = int(rng.integers(painter.first, painter.last + 1))
            half = (year - 1) // 50 * 50 + 1
            title = _ODD_TITLES.get((author, n)) or _one(rng, _TITLES[motif])
            slug = re.sub("[^a-z]", "", title.lower())[:8]
            row = {
                "IMAGE_FILE": f"{number:05}-{_one(rng, ('', '', f'{n + 1:02}', '1_'))}{slug}.jpg",
                "DESCRIPTION": _describe(rng, motif),
                "AUTHOR": author,
                "TITLE": title,
                "TECHNIQUE": _technique(rng, _PAPER if _KIND_OF[motif] == "study" else painter.on),
                "DATE": _one(
                    rng, (str(year), f"c. {year}", f"{year - year % 10}s", f"{year}-{year % 100 + 1:02}", "-")
                ),
                "TYPE": _KIND_OF[motif],
                "SCHOOL": painter.school,
                "TIMEFRAME": f"{half}-{half + 49}",
            }
            entries.append(_Entry(row, motif, len(entries)))
    # The first and the second view by Canaletto are one painting: two rows and two files, but the same bytes.
    first = next(i for i, entry in enumerate(entries) if entry.row["AUTHOR"] == "CANALETTO")
    entries[first + 1] = entries[first + 1]._replace(picture=first)
    return entries


def _one(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _describe(rng: np.random.Generator, motif: str) -> str:
    """Say from four to some hundred and fifty words about a painting; now and then the same as about another."""
    if rng.random() < 0.1:  # noqa: PLR2004 - one in ten
        return _one(rng, _REPEATED)
    said = [
        *rng.permutation(_SAYS[motif])[: int(rng.integers(1, 4))],
        *rng.permutation(_REMARKS)[: int(rng.integers(0, 7))],
    ]
    return " ".join(said)


def _technique(rng: np.random.Generator, materials: Sequence[str]) -> str:
    """Name the material and mostly the size, which has a decimal comma or a real multiplication sign at times."""
    height = int(rng.integers(18, 240))
    width = round(height * rng.uniform(0.7, 1.5))
    form = _one(rng, ("", *[", {} x {} cm"] * 7, ", {} x {},5 cm", ", {} \xd7 {} cm"))
    return _one(rng, materials) + form.format(height, width)


def _tables(rows: list[dict[str, str]], rng: np.random.Generator) -> dict[str, bytes]:
    """Deal the rows to the three tables; the one of validation repeats a row of the training table, reworded."""
    dealt = [rows[int(i)] for i in rng.permutation(len(rows))]
    repeated = {**dealt[20], "DESCRIPTION": "Entered twice by mistake."}
    parts = {
        "semart_test.csv": dealt[:10],
        "semart_val.csv": [*dealt[10:20], repeated],
        "semart_train.csv": dealt[20:],
    }
    return {name: _written(part) for name, part in parts.items()}


def _written(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO()
    table = csv.DictWriter(text, _COLUMNS, delimiter="\t", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode("cp1252")
