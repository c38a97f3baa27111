"""Texts that find images: ConSE and an alignment on the English captions of the Tux Paint stamps.

Every different caption is asked once; images with the same caption are one answer. ConSE needs no captions.
The alignment is cross-validated in 5 folds grouped by caption, in which no caption is both fitted and asked.
"""

import sys
import tempfile
import time

import embedsearch as es
from embedsearch.demo.indexes import STAMPS


def main():
    """Print recall@1, 5 and 10 and the median rank of both, and the ratio of their recall@10."""
    folder = next((path for path in STAMPS if path.is_dir()), None)
    if folder is None:
        sys.exit("skipped: the Tux Paint stamps are not installed (Debian: tuxpaint-stamps-default)")
    with tempfile.TemporaryDirectory() as indexes:
        built = es.build(folder, kind="images", name="stamps", precision="fp32", indexes=indexes)
        print(f"searchable {built.crossmodal.about}: {built.manifest.count} pictures")
        started = time.perf_counter()
        aligned = es.align("stamps", indexes=indexes)
        seconds = time.perf_counter() - started
    facts = aligned.manifest.artifacts.crossmodal.align
    asked, answers = facts.asked, facts.answers
    for part, measured in facts.measured.items():
        told = ", ".join(f"{name} {value:g}" for name, value in measured.items())
        print(f"text_to_image_{part} value={measured['recall@10']:.4f} ({told}; {asked} captions)")
    both, conse = facts.measured["both"], facts.measured["conse"]
    for k in (1, 5, 10):
        one, other = both[f"recall@{k}"], conse[f"recall@{k}"]
        key = "align_over_conse" if k == 10 else f"align_over_conse_at_{k}"
        print(f"{key} ratio={one / other:.3f} (recall@{k}: ours {one:.4f}, ConSE {other:.4f})")
    chance = 10 / answers
    print(f"conse_over_chance ratio={conse['recall@10'] / chance:.1f} (chance {chance:.4f})")
    print(f"align_seconds value={seconds:.1f} (the text model loaded, {asked} captions embedded, all fitted)")


if __name__ == "__main__":
    main()
