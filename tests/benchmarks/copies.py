"""Near copies seeded among images and texts: recall by kind of change, and precision, of `find_duplicates`.

Images: clothing photos, and Tux Paint's stamps, small drawings and photos. Texts: bank questions, sentences
of STS-B and dictionary definitions. A copy counts as found where it is in one group with its original.
Whatever else is in a group counts as wrong, though STS-B and the stamps hold near copies of their own: read
the pairs that `--wrong` prints. `--no-check` measures the threshold alone, as before the second check.

Text with a changed word is no copy (credit, debit): such texts are seeded too, and are wrong where found.
"""

import random
import sys
import tempfile
from itertools import combinations
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance, ImageOps

import embedsearch as es
from embedsearch.encoders.vision.decode import open_rgb
from tests.benchmarks.common import DATA
from tests.benchmarks.wordnet import WORDNET, definitions

STAMPS = Path("/usr/share/tuxpaint/stamps")
SIGNS = STAMPS / "symbols"  # letters, digits and notes: mirrored or turned, they are others (p and q)
IMAGES, OF_A_KIND = 320, 20
TEXTS, TEXTS_OF_A_KIND = 2500, 30


def written_over(image):
    """Return an image with words on it."""
    image = image.copy()
    pen = ImageDraw.Draw(image)
    place = image.width * 0.1, image.height * 0.8
    pen.text(place, "SALE 2026", fill="yellow", font_size=max(10, image.height // 10))
    return image


def cropped(image):
    """Return an image without 5 percent of each side."""
    left, top = round(0.05 * image.width), round(0.05 * image.height)
    return image.crop((left, top, image.width - left, image.height - top))


def framed(image):
    """Return an image in a wide frame, as on a screenshot."""
    x, y = image.width, image.height
    return ImageOps.expand(
        image, (round(0.15 * x), round(0.1 * y), round(0.15 * x), round(0.2 * y)), "#282828"
    )


OF_IMAGES = {
    "half": lambda image: image.resize((max(1, image.width // 2), max(1, image.height // 2))),
    "quality 50": lambda image: image,
    "mirrored": ImageOps.mirror,
    "cropped": cropped,
    "framed": framed,
    "brighter": lambda image: ImageEnhance.Color(ImageEnhance.Brightness(image).enhance(1.3)).enhance(0.5),
    "written over": written_over,
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
}


def seed_images(files, folder):
    """Write images into a folder, and copies of some into folders by kind; a copy has its original's name."""
    for kind in ("original", *OF_IMAGES):
        (folder / kind).mkdir(parents=True)
    chosen = random.Random(0).sample(files, min(IMAGES, len(files)))
    kinds = list(OF_IMAGES)
    for number, path in enumerate(chosen):
        image = open_rgb(path)
        image.save(folder / "original" / f"{number}.jpg", quality=92)
        if number < OF_A_KIND * len(kinds):
            kind = kinds[number % len(kinds)]
            if kind in ("mirrored", "turned") and SIGNS in path.parents:
                continue
            changed = OF_IMAGES[kind](image)
            changed.save(folder / kind / f"{number}.jpg", quality=50 if kind == "quality 50" else 88)
    return folder


def misspelt(draw, text, words):  # noqa: ARG001
    """Return a text with a letter lost, doubled, changed, or two in the other order; None without a word."""
    parts = text.split()
    long = [at for at, part in enumerate(parts) if len(part) > 3 and part.isalpha()]
    if not long:
        return None
    at = draw.choice(long)
    word, place = parts[at], draw.randrange(1, len(parts[at]) - 1)
    letter = draw.choice("abcdefghijklmnopqrstuvwxyz")
    head, one, two, tail = word[:place], word[place], word[place + 1], word[place + 2 :]
    parts[at] = head + draw.choice(
        [two + tail, two + one + tail, one + one + two + tail, letter + two + tail]
    )
    return " ".join(parts)


def twice_misspelt(draw, text, words):
    """Return a text with two such slips."""
    once = misspelt(draw, text, words)
    return once and misspelt(draw, once, words)


def recased(draw, text, words):  # noqa: ARG001
    """Return a text in capitals, or with other spaces."""
    return text.upper() if draw.random() < 0.5 else f"  {'  '.join(text.split())} "


def repointed(draw, text, words):  # noqa: ARG001
    """Return a text with another end."""
    return text.rstrip(".?!") + draw.choice(["", "!", " .", "..."])


def _edited(edit):
    """Return a change of a text's words, of which there must be five."""

    def change(draw, text, words):
        parts = text.split()
        if len(parts) < 5:
            return None
        edit(draw, parts, words)
        return " ".join(parts)

    return change


def _drop(draw, parts, words):  # noqa: ARG001
    del parts[draw.randrange(len(parts))]


def _swap(draw, parts, words):  # noqa: ARG001
    at = draw.randrange(len(parts) - 1)
    parts[at : at + 2] = parts[at + 1], parts[at]


def _replace(draw, parts, words):
    parts[draw.choice([at for at, part in enumerate(parts) if part.isalpha()] or [0])] = draw.choice(words)


OF_TEXTS = {
    "case and space": recased,
    "punctuation": repointed,
    "typo": misspelt,
    "two typos": twice_misspelt,
    "dropped word": _edited(_drop),
    "moved word": _edited(_swap),
    "changed word": _edited(_replace),
}
NO_COPIES = {"changed word"}


def seed_texts(texts):
    """Return rows of texts and of changed ones; the id of a changed one is its kind and its original's id."""
    draw = random.Random(1)
    texts = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    texts = draw.sample(texts, min(TEXTS, len(texts)))
    words = [word for text in texts for word in text.split() if word.isalpha()]
    rows = [{"id": f"original/{number}", "text": text} for number, text in enumerate(texts)]
    kinds, left = list(OF_TEXTS), TEXTS_OF_A_KIND * len(OF_TEXTS)
    for number in draw.sample(range(len(texts)), len(texts)):
        kind = kinds[left % len(kinds)]
        changed = OF_TEXTS[kind](draw, texts[number], words) if left else None
        if changed and changed != texts[number]:
            rows.append({"id": f"{kind}/{number}", "text": changed})
            left -= 1
    return rows


def judged(ids, groups):
    """Return recall by kind, precision, and the pairs that are wrong."""
    name = {each: each.split("/", 1) for each in ids}
    seeded = {each for each in ids if name[each][0] != "original"}
    found, wrong, right = set(), [], 0
    for group in groups:
        for one, other in combinations(group, 2):
            copies = name[one][1] == name[other][1] and not {name[one][0], name[other][0]} & NO_COPIES
            right += copies
            found |= {one, other} & seeded if copies else set()
            wrong += [] if copies else [(one, other)]
    kinds = dict.fromkeys(name[each][0] for each in ids if each in seeded and name[each][0] not in NO_COPIES)
    recall = {
        kind: sum(each in found for each in seeded if name[each][0] == kind)
        / sum(name[each][0] == kind for each in seeded)
        for kind in kinds
    }
    return recall, right / max(1, right + len(wrong)), wrong


def measure(name, index):
    """Print the figures of one index."""
    found = index.duplicates(check="--no-check" not in sys.argv)
    if found.lacks:
        print(f"{name}: the second check is off: {found.lacks}")
    ids = index.build.items["id"].to_pylist()
    groups = [[each.id for each in group.members] for group in found.groups]
    recall, precision, wrong = judged(ids, groups)
    mean = sum(recall.values()) / len(recall)
    by_kind = ", ".join(f"{kind} {share:.2f}" for kind, share in recall.items())
    print(f"copies_{name} value={mean:.3f} (recall; precision {precision:.3f}; {len(ids)} items; {by_kind})")
    if "--wrong" in sys.argv:
        for pair in wrong:
            print("  ", " | ".join(index.get(each).text or each for each in pair))


def main():
    """Print the figures of the sets that are here."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        photos = sorted((DATA / "images" / "clothing").rglob("*.jpg"))
        drawings = [
            each for each in sorted(STAMPS.rglob("*.png")) if not each.stem.endswith(("_mirror", "_flip"))
        ]
        for name, files in (("clothing", photos), ("stamps", drawings)):
            if files:
                seeded = seed_images(files, root / name)
                measure(name, es.build(seeded, name=name, precision="fp32", indexes=root / "indexes"))
        text = DATA / "text"
        columns = {"banking77": ("banking77_train.tsv", 1), "stsb": ("stsb_dev.tsv", 2)}
        sets = {
            name: [
                cell
                for line in (text / file).read_text().splitlines()[1:]
                for cell in line.split("\t")[-last:]
            ]
            for name, (file, last) in columns.items()
            if (text / file).is_file()
        }
        if WORDNET.is_dir():
            sets["definitions"] = definitions()
        for name, texts in sets.items():
            rows = seed_texts(texts)
            measure(name, es.build(rows, name=name, text="text", id="id", indexes=root / "indexes"))


if __name__ == "__main__":
    main()
