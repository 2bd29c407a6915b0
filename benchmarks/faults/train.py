"""A training script that takes half a second: `python -m benchmarks.faults.train SIZE SEED`."""

import json
import sys
import time

__all__: list[str] = []

if __name__ == "__main__":
    size, seed = int(sys.argv[1]), int(sys.argv[2])
    time.sleep(0.5)
    print(json.dumps({"error": 2 * size**-0.4 * (1 + 0.02 * ((7 * seed + size) % 5))}))
