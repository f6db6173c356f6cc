"""Fetch the files of MathJax that the book ships, from its npm package, into book/_static/mathjax/.

    python scripts/fetch_mathjax.py     make mathjax

MathJax's own bundle also holds a menu, MathML as input, and all extensions of TeX. Taken are the parts that
typeset a formula here, unchanged; _config.yml (mathjax3_config) lists them for the loader. A font is asked
for only by a page that shows it. Needs npm and a network; the result is committed.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "mathjax@3.2.2"
SHA256 = "1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09"
TARGET = Path(__file__).resolve().parents[1] / "book" / "_static" / "mathjax"
FILES = (
    "startup.js",
    "core.js",
    "input/tex-base.js",
    "input/tex/extensions/ams.js",
    "output/chtml.js",
    "output/chtml/fonts/tex.js",
    "a11y/assistive-mml.js",
)
FONTS = "output/chtml/fonts/woff-v2/"


def wanted(name: str) -> bool:
    return name in FILES or (name.startswith(FONTS) and name.endswith(".woff"))


def download(folder: Path) -> Path:
    """The package's archive; ends the program if it is not the one that was looked at."""
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tgz")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"{PACKAGE} has the SHA-256 {found}; {SHA256} was expected")
    return archive


def main() -> None:
    shutil.rmtree(TARGET, ignore_errors=True)
    written = []
    with tempfile.TemporaryDirectory() as folder, tarfile.open(download(Path(folder))) as archive:
        for member in archive:
            name = member.name.removeprefix("package/es5/")
            if name == "package/LICENSE" or wanted(name):
                path = TARGET / name.removeprefix("package/")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(member).read())
                written.append(name)
    if missing := set(FILES) - set(written):
        sys.exit(f"the package has no {', '.join(sorted(missing))}")
    print(f"{len(written)} files in {TARGET}")


if __name__ == "__main__":
    main()
