"""Write a data set in the form of SemArt, with generated paintings, that may be given away.

The tables have all that makes those of SemArt hard to read, so that code which reads them reads the real ones
too: cp1252 with bytes 0x92 and 0x9e, doubled quotes, lost letters, missing dates, a repeated row.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semart_vectors.demo.motifs import paint
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
    """Where a sample is, and how much it holds."""

    directory: Path
    """The folder with the three tables."""
    images_dir: Path
    """The folder of the images, `Images` in `directory`."""
    n_rows: int
    """Rows in the three tables together; one of them repeats the image of another."""
    n_images: int
    """Image files; two of them have identical bytes."""


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

# Nine painters survive the cleaning; the one with exactly fifteen, the unknown master and the last five go.
_PAINTERS = {
    "AVERCAMP, Hendrick": _Painter("Dutch", 15, 1608, 1634, ("skaters", "skaters", "river"), _OAK),
    "BRUEGEL, Pieter the Elder": _Painter(
        "Flemish", 17, 1552, 1569, ("skaters", "centaur", "river", "skaters", "trees", "fleet"), _OAK
    ),
    "CANALETTO": _Painter("Italian", 17, 1722, 1764, ("city", "city", "river", "fleet", "trees", "city")),
    "CRANACH, Lucas the Elder": _Painter(
        "German", 16, 1502, 1549, ("lady", "centaur", "head", "figure", "madonna"), _OAK
    ),
    "DADDI, Bernardo": _Painter("Italian", 16, 1312, 1347, ("madonna", "madonna", "madonna", "head"), _WOOD),
    "DELACROIX, Eug?ne": _Painter(
        "French", 17, 1822, 1862, ("fleet", "centaur", "lady", "figure", "flowers", "fleet")
    ),
    "HOOCH, Pieter de": _Painter("Dutch", 16, 1652, 1683, ("room", "room", "lady", "room", "flowers")),
    "JUEL, Jens J?rgensen": _Painter("Danish", 16, 1767, 1799, ("lady", "lady", "river", "head", "room")),
    "PEETERS, Clara": _Painter("Flemish", 16, 1607, 1649, ("flowers", "flowers", "flowers", "lady"), _OAK),
    "TURA, Cosm?": _Painter("Italian", 16, 1452, 1494, ("madonna", "lady", "centaur", "head"), _WOOD),
    "UNKNOWN MASTER, Flemish": _Painter("Flemish", 16, 1440, 1540, ("madonna", "lady", "flowers"), _OAK),
    "BERRUGUETE, Pedro": _Painter("Spanish", 1, 1483, 1499, ("madonna",), _WOOD),
    "CHARDIN, Jean-Baptiste-Siméon": _Painter("French", 2, 1728, 1766, ("flowers", "room")),
    "DÜRER, Albrecht": _Painter("German", 1, 1494, 1526, ("trees",), _OAK),
    "GÉRARD, François": _Painter("French", 1, 1801, 1829, ("lady",)),
    "MUNKÁCSY, Mihály": _Painter("Hungarian", 1, 1869, 1894, ("room",)),
}


class _Subject(NamedTuple):
    """A motif in words: its TYPE, some titles, and what may be said of it."""

    kind: str
    titles: tuple[str, ...]
    says: tuple[str, ...]


_SUBJECTS = {
    "river": _Subject(
        "landscape",
        ("River Landscape", "Valley with a Winding River", "The Bend of the River", "Trees by the Water"),
        (
            "A river comes out of the hills and bends twice before it leaves the picture.",
            "The trees at both sides stand like curtains and let the eye walk slowly into the distance.",
            "Blue is kept for the farthest ridge, an old remedy for making a small picture deep.",
        ),
    ),
    "lady": _Subject(
        "portrait",
        ("Portrait of a Lady", "A Young Woman", "Portrait of a Widow", "A Burgher's Daughter"),
        (
            "She looks past us with the patience of somebody who has been told not to move.",
            "She wears her best dress and an expression that gives nothing away.",
            "The white at the neck catches the light that the ground swallows.",
        ),
    ),
    "flowers": _Subject(
        "still-life",
        ("Flowers in a Vase", "Bouquet of Anemones", "Still-Life with Flowers", "A Spring Bouquet"),
        (
            "Flowers of different months stand together in one vase, as they only can in paint.",
            "The bouquet opens like a fan, each stem led back to the neck of the vase.",
            "The window of the studio is reflected, very small, in the glaze.",
        ),
    ),
    "room": _Subject(
        "interior",
        ("Woman in a Tiled Room", "Interior with a Window", "The Morning Room", "The Checkered Floor"),
        (
            "Light enters from a window at the side and crosses the tiles to a woman who stands quite still.",
            "The beams of the ceiling and the lines of the floor meet at the height of her eyes.",
            "On the table there are a jug and a single fruit, and nothing else happens.",
        ),
    ),
    "madonna": _Subject(
        "religious",
        ("Madonna and Child with Saints", "Madonna Enthroned", "Virgin and Child", "Maest? (centre panel)"),
        (
            "The Virgin sits on a throne, in a blue mantle with a gilt border, the Child on her arm.",
            "Two saints attend the throne; there is room for little more than their haloes.",
            "The gold ground has been worked with small strokes that still catch the light of candles.",
        ),
    ),
    "centaur": _Subject(
        "mythological",
        ("Centaur with a Bow", "Chiron in the Wood", "The Centaur Nessus", "A Centaur Hunting"),
        (
            "The centaur has drawn his bow at something that is hidden from us.",
            "A wreath of leaves in his hair says that this is a feast, and not yet a war.",
            "Horse and man are joined as if the painter had never doubted that such creatures lived.",
        ),
    ),
    "skaters": _Subject(
        "genre",
        ("Winter Scene with Skaters", "Village on the Ice", "Frozen Canal", "The Great Frost"),
        (
            "The whole village is on the ice, rich and poor in the same cold.",
            "Trees heavy with snow frame the scene and keep the eye from leaving it.",
            "Snow lies on the roofs, but somebody has lit the fire: a window is yellow.",
        ),
    ),
    "fleet": _Subject(
        "historical",
        ("The Fleet at Anchor", "Ships in a Light Breeze", "Naval Battle", "Return of the Squadron"),
        (
            "The ships carry full sail, though the water is hardly troubled.",
            "White smoke between the hulls may be a salute, or the beginning of the battle.",
            "The nearest hull is painted plank by plank, the farthest with three strokes.",
        ),
    ),
    "city": _Subject(
        "other",
        ("View of a Quay with a Tower", "Capriccio with Domes", "City on the Water", "The Harbour Front"),
        (
            "Palaces and domes are lined up along the quay, and once more upside down in the water.",
            "No such city stands anywhere: the tower belongs to one place and the domes to another.",
            "Two boats are rowed across the reflection and break it.",
        ),
    ),
    "head": _Subject(
        "study",
        ("Study of a Head", "Head of a Model", "Study for a Portrait", "Head, Turned Slightly"),
        (
            "The head was drawn quickly, with the hatching running on beyond the outline.",
            "White chalk was added where the light falls, on the forehead and the collar.",
        ),
    ),
    "trees": _Subject(
        "study",
        ("Study of Trees", "Landscape Sketch", "Trees by a River (recto)", "Leaf from a Sketchbook"),
        (
            "A few lines give the course of the water; the trees took more trouble.",
            "The sheet was folded twice and must have travelled in a pocket.",
        ),
    ),
    "figure": _Subject(
        "study",
        ("Study of a Figure", "Sheet of Studies", "Study for a Mythology", "Study of an Archer (verso)"),
        (
            "The artist tried out the pose before he trusted it to the canvas.",
            "Trees and sky are only hinted at around the figure.",
        ),
    ),
}

_ODD_TITLES = {
    ("BRUEGEL, Pieter the Elder", 0): "Skaters outside Sankt Jürgen",
    ("BRUEGEL, Pieter the Elder", 3): "Who Has Lost the Wager?",
    ("BRUEGEL, Pieter the Elder", 5): "Naval Review at the Porto das Nações",
    ("CANALETTO", 2): "The River Lužnice below the Bridge",
    ("CRANACH, Lucas the Elder", 0): "Die schöne Nürnbergerin",
    ("CRANACH, Lucas the Elder", 4): "Madonna from the Convent of Mäuerchen",
    ("DADDI, Bernardo", 2): "Madonna della Piet?",
    ("DELACROIX, Eug?ne", 0): "The Sultan's Fleet at Nauplia",
    ("DELACROIX, Eug?ne", 2): "Mademoiselle Éléonore at the Opéra",
    ("HOOCH, Pieter de", 4): 'Still-Life with the "Blue" Vase',
    ("JUEL, Jens J?rgensen", 0): "Madame de la Ferti?re",
    ("JUEL, Jens J?rgensen", 1): "The Captain's Widow (the Painter's Cousin?)",
}

_REMARKS = (
    "The picture was made for a private room and is best seen from close by.",
    "Nothing is known about the person who ordered it, except that the bill was paid late.",
    'An old inventory calls it "the one by the stairs", which tells us at least where it used to hang.',
    "The paint is thin throughout, and in the shadows the brown of the ground speaks for itself.",
    "A later hand has strengthened the outlines, with more zeal than was needed.",
    "The signature is false, but the painting is not.",
    "It was cleaned a generation ago, when a yellow varnish was taken off that everybody had admired.",
    "The composition must have pleased: the workshop repeated it, changing little more than the colours.",
    "Scholars have compared it with a lost work known from an engraving, and it survives that well.",
    "A strip of a few centimetres was added at the top, possibly to fit a frame that was already there.",
    "The colours are few and carefully spaced, and the eye goes round them without being in a hurry.",
    "Whoever looks for a moral will find one, but the painter does not insist.",
    "For a long time it was attributed to a pupil, on no better grounds than its good humour.",
)

_REPEATED = (
    "One of a pair.",
    "It belongs to a series that was made for one house and was scattered when the house was sold.",
    "The attribution is not accepted by everybody.",
)


class _Entry(NamedTuple):
    """A row of the tables and its motif; entries with the same picture number get identical images."""

    row: dict[str, str]
    motif: str
    picture: int


def make_sample(directory: Path, *, seed: int = 7) -> Sample:
    """Paint and write the sample, unless it is there already; the same seed gives the same bytes.

    The tables are written last, so where they exist the sample is complete; what an interrupted call left
    behind is painted again.

    Args:
        directory: A folder that does not exist, is empty, or holds this sample.
        seed: Another number gives another collection.

    Raises:
        MetadataError: the folder holds other files, which are left alone.
        DiskError: the disk refused to write.
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
    """Return an entry for each painting, painter by painter."""
    entries: list[_Entry] = []
    number = 1000
    for author, painter in _PAINTERS.items():
        for n, motif in enumerate(islice(cycle(painter.motifs), painter.paintings)):
            number += int(rng.integers(1, 90))
            year = int(rng.integers(painter.first, painter.last + 1))
            half = (year - 1) // 50 * 50 + 1
            subject = _SUBJECTS[motif]
            title = _ODD_TITLES.get((author, n)) or _one(rng, subject.titles)
            slug = re.sub("[^a-z]", "", title.lower())[:8]
            row = {
                "IMAGE_FILE": f"{number:05}-{_one(rng, ('', '', f'{n + 1:02}', '1_'))}{slug}.jpg",
                "DESCRIPTION": _describe(rng, subject),
                "AUTHOR": author,
                "TITLE": title,
                "TECHNIQUE": _technique(rng, _PAPER if subject.kind == "study" else painter.on),
                "DATE": _one(
                    rng, (str(year), f"c. {year}", f"{year - year % 10}s", f"{year}-{year % 100 + 1:02}", "-")
                ),
                "TYPE": subject.kind,
                "SCHOOL": painter.school,
                "TIMEFRAME": f"{half}-{half + 49}",
            }
            entries.append(_Entry(row, motif, len(entries)))
    # The first two views by Canaletto are one painting: two rows and two files with the same bytes.
    first = next(i for i, entry in enumerate(entries) if entry.row["AUTHOR"] == "CANALETTO")
    entries[first + 1] = entries[first + 1]._replace(picture=first)
    return entries


def _one(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _describe(rng: np.random.Generator, subject: _Subject) -> str:
    """Return a description of 4 to about 150 words; some are the same for several paintings."""
    if rng.random() < 0.1:  # noqa: PLR2004 - one in ten
        return _one(rng, _REPEATED)
    said = [
        *rng.permutation(subject.says)[: int(rng.integers(1, 4))],
        *rng.permutation(_REMARKS)[: int(rng.integers(0, 7))],
    ]
    return " ".join(said)


def _technique(rng: np.random.Generator, materials: Sequence[str]) -> str:
    """Return the material and mostly the size, sometimes with a decimal comma or a multiplication sign."""
    height = int(rng.integers(18, 240))
    width = round(height * rng.uniform(0.7, 1.5))
    form = _one(rng, ("", *[", {} x {} cm"] * 7, ", {} x {},5 cm", ", {} \xd7 {} cm"))
    return _one(rng, materials) + form.format(height, width)


def _tables(rows: list[dict[str, str]], rng: np.random.Generator) -> dict[str, bytes]:
    """Distribute the rows over the three tables; the validation table repeats a training row, reworded."""
    dealt = [rows[int(i)] for i in rng.permutation(len(rows))]
    repeated = {**dealt[20], "DESCRIPTION": "Entered twice by mistake."}
    parts = {
        "semart_test.csv": dealt[:10],
        "semart_val.csv": [*dealt[10:20], repeated],
        "semart_train.csv": dealt[20:],
    }
    return {name: _written(part) for name, part in parts.items()}


def _written(rows: list[dict[str, str]]) -> bytes:
    """Return a table in cp1252, with SemArt's typographic apostrophe."""
    text = io.StringIO()
    table = csv.DictWriter(text, _COLUMNS, delimiter="\t", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode("cp1252").replace(b"'", b"\x92")
