from pathlib import Path

print("version", (Path(__file__).parent / "VERSION").read_text().strip())
