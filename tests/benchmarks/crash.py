"""A hundred rebuilds killed with SIGKILL, every stage hit; after each the index is opened and compared."""

import random
import tempfile
from pathlib import Path

from tests.crashing import Trial, moments

KILLS = 100


def main():
    """Print the count of kills, openings and losses."""
    draw = random.Random(1)
    lost = 0
    with tempfile.TemporaryDirectory(prefix="embedsearch-bench-") as name:
        trial = Trial(Path(name))
        hold = False
        while trial.kills < KILLS:
            for number in moments(trial.events, min(KILLS - trial.kills, KILLS), draw):
                hold = not hold
                try:
                    trial.kill(number, hold=hold)
                except Exception as error:
                    lost += 1
                    print(f"lost at {trial.events[number - 1]}: {error!r}")
        trial.end()
    stages = ", ".join(f"{name} {count}" for name, count in sorted(trial.hit.items()))
    print(f"crash value={lost} (lost in {trial.kills} kills, {trial.opened} openings; killed at: {stages})")


if __name__ == "__main__":
    main()
