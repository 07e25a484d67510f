"""The benchmark lies beside the packages and is never installed: it is found last, so it shadows nothing."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
