import os, pathlib, tempfile

cache = pathlib.Path.home() / ".cache" / "mine"
cache.mkdir(parents=True)
(cache / "x").write_text("kept")
with tempfile.NamedTemporaryFile("w+", suffix=".csv") as file:
    file.write("a")
    file.seek(0)
    print(file.read(), (cache / "x").read_text())
