"""Trains the models that widgets and playground show: `make models`, or `make models MODELS=toy-causal`."""

import sys
import time

from lmbook.training.recipes import RECIPES, save_trained, train_recipe


def main(names: list[str]) -> None:
    unknown = sorted({*names} - {*RECIPES})
    if unknown:
        sys.exit(f"There is no recipe {', '.join(unknown)}; there are {', '.join(RECIPES)}.")
    for name in names or RECIPES:
        start = time.perf_counter()
        trained = train_recipe(name, progress=True)
        path = save_trained(name, trained)
        seconds = time.perf_counter() - start
        print(f"{path.name}: {path.stat().st_size:,} bytes, loss {trained.loss:.4f}, {seconds:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
