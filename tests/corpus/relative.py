from pathlib import Path

Path("scratch.txt").write_text(Path("data/inputs/penguins/0").read_text().upper())
Path("data/outputs/first.txt").write_text(Path("scratch.txt").read_text().splitlines()[0])
