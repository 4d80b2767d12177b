"""Where the repository, the goldens and the real annotations lie."""

from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parent.parent
# Real annotations, beside the repository; tests that need them skip where they are absent.
THUMOS14 = ROOT.parent / "shared" / "thumos14"
