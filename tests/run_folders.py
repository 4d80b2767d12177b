"""Folders of training runs, without training."""

from pathlib import Path


def write_run(folder: Path, lines: list[str], config: str = "{}") -> Path:
    """Writes a run's folder with these lines of its log, and returns it."""
    folder.mkdir()
    (folder / "config.json").write_text(config)
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return folder
