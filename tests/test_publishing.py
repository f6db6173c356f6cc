"""What publishes and describes the project agrees: workflows, commands, addresses, versions, names."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import urllib.parse
from pathlib import Path

import check_package
import fetch_mathjax
import pytest
import run_like_colab
import yaml

import lmcore

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
SPHINX = CONFIG["sphinx"]["config"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, flags=re.MULTILINE))
DESCRIBED = re.compile(r"^\.\. (?:auto(?:class|function|exception)|py:data):: (\w+)$", re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`|^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
OWN_PACKAGES = {"lmcore", "lmcore_exercises", "lmcore_records"}
OWN_FOLDERS = ("tests", "tests/fuzz", "tests/malformed", "scripts", "scripts/diagrams", "book/_ext")
BROUGHT = {"yaml", "pyarrow", "backports", "cryptography"}  # by transformers, datasets, zstd and trustme

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def steps(path: Path) -> list[dict]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


# --- workflows and commands ------------------------------------------------------------------------


@each_workflow
def test_a_step_is_a_command_of_the_repository(path):
    for command in (step["run"] for step in steps(path) if "run" in step):
        assert "\n" not in command.strip(), f"more than one command: {command}"
        program, argument = command.split()[:2]
        if program == "make":
            assert argument in TARGETS
        else:
            assert program in ("bash", "python")
            assert (ROOT / argument).is_file()


@each_workflow
def test_actions_are_pinned_to_a_release(path):
    for action in (step["uses"] for step in steps(path) if "uses" in step):
        assert re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", action), action


@each_workflow
def test_a_workflow_may_only_read_unless_it_says_otherwise(path):
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    asking = {name for name, job in workflow["jobs"].items() if "permissions" in job}
    assert asking == ({"deploy"} if path.stem == "pages" else set())
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_a_workflow_that_builds_pages_has_the_whole_history():
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            commands = " ".join(step.get("run", "") for step in job["steps"])
            if re.search(r"make (site|book|test|links)|\.ci/run", commands):
                assert job["steps"][0]["with"]["fetch-depth"] == 0, path.name


def test_every_command_is_in_the_help_and_is_no_file():
    helped = set(re.findall(r"^([a-z]+):.*##", MAKEFILE, flags=re.MULTILINE))
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", MAKEFILE, flags=re.MULTILINE)[1]
    assert helped == TARGETS == set(phony.replace("\\", " ").split())


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "README.md", "SECURITY.md"])
def test_documents_name_commands_and_files_that_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    code = "\n".join(inline or block for inline, block in CODE.findall(text))
    assert set(re.findall(r"(?:^|\s)make ([a-z]+)", code)) <= TARGETS
    for path in re.findall(r"(?:scripts|tests|book|benchmarks|\.ci)/[\w/.-]+\.\w+", code):
        assert (ROOT / path).exists() or "26" in path, path  # the example of a new chapter
    for link in re.findall(r"\]\(([\w/.-]+\.\w+)\)", text):
        assert (ROOT / link).is_file(), link


def git(*arguments: str, **environment: str) -> str:
    command = ["git", *arguments]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, **environment}, timeout=60
    )
    return result.stdout.strip() if result.returncode == 0 else ""


def test_notebooks_run_as_in_colab_install_the_last_commit_from_here(tmp_path):
    head = git("rev-parse", "HEAD")
    if not head:
        pytest.skip("this is no git repository")
    environment = run_like_colab.repository_here(tmp_path)
    published = PROJECT["urls"]["Repository"]
    assert git("ls-remote", published, "refs/heads/main", **environment).split() == [head, "refs/heads/main"]


def test_colab_has_fixed_versions_and_the_newest_run_has_none():
    fixed, newest = (run_like_colab.packages(newest=choice) for choice in (False, True))
    assert "torch==2.11.0" in fixed
    assert newest == [line.split("==")[0] for line in fixed]
    assert {"torch", "numpy", "transformers", "tokenizers", "matplotlib"} <= set(newest)


def test_tests_that_are_left_out_of_the_package_s_run_exist():
    for pattern in check_package.NEED_THE_BOOK:
        assert list(ROOT.glob(pattern)), pattern


def imported(file: Path) -> set[str]:
    """The packages that a file names in an import statement or in import_module("...")."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return {name.split(".")[0] for name in names}


def imported_in_the_end(file: Path) -> set[str]:
    """The same, through all files of the repository that these imports lead to."""
    names, open_files, seen = set(), [file], set()
    while open_files:
        seen.add(here := open_files.pop())
        for name in imported(here):
            files = [path for folder in OWN_FOLDERS for path in (ROOT / folder).glob(f"{name}.py")]
            names |= set() if files else {name}
            open_files += [path for path in files if path not in seen]
    return names


def test_the_package_s_run_installs_what_its_tests_import():
    left_out = {path for pattern in check_package.NEED_THE_BOOK for path in ROOT.glob(pattern)}
    requirements = [*PROJECT["dependencies"], *check_package.TOOLS]
    installed = {re.match(r"[\w-]+", requirement)[0] for requirement in requirements} | OWN_PACKAGES | BROUGHT
    kept = set((ROOT / "tests").rglob("test_*.py")) - left_out
    missing = {
        file.name: names
        for file in sorted(kept)
        if (names := imported_in_the_end(file) - installed - sys.stdlib_module_names)
    }
    assert not missing


# --- addresses, versions ---------------------------------------------------------------------------


def test_addresses_agree():
    address = CONFIG["html"]["baseurl"]
    assert address == PROJECT["urls"]["Documentation"] + "/"
    assert SPHINX["ogp_site_url"] == address
    path = urllib.parse.urlsplit(address).path
    assert SPHINX["notfound_urls_prefix"] == path
    assert f'href="{path}"' in SPHINX["notfound_context"]["body"]


def test_versions_and_addresses_are_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"] == lmcore.__version__
    assert citation["repository-code"] == PROJECT["urls"]["Repository"]
    assert citation["url"] == PROJECT["urls"]["Documentation"]
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", citation["date-released"])
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {PROJECT['version']}" in changes
    assert PROJECT["version"].startswith(str(SPHINX["version"]))


def test_the_social_card_is_a_picture_of_the_size_that_other_sites_expect():
    card = (ROOT / "book" / SPHINX["ogp_image"]).read_bytes()
    assert card[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(card[16:20], "big"), int.from_bytes(card[20:24], "big")) == (1200, 630)


def test_the_book_ships_the_parts_of_mathjax_that_its_pages_load_and_no_others():
    folder = ROOT / "book" / "_static" / "mathjax"
    shipped = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    fonts = {name for name in shipped if fetch_mathjax.wanted(name) and name.endswith(".woff")}
    assert len(fonts) == 23
    assert shipped == {"LICENSE", *fetch_mathjax.FILES, *fonts}
    extensions = "input/tex/extensions"
    loaded = SPHINX["mathjax3_config"]["loader"]["load"]
    files = {f"{name.replace('[tex]', extensions)}.js" for name in loaded}
    by_themselves = {"startup.js", "output/chtml/fonts/tex.js"}  # the entry, and what chtml asks for
    assert files | by_themselves == set(fetch_mathjax.FILES)
    assert SPHINX["mathjax_path"] == "mathjax/startup.js"


def test_extensions_are_installed_by_the_requirements():
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    for extension, package in {
        "sphinxext.opengraph": "sphinxext-opengraph",
        "sphinx_sitemap": "sphinx-sitemap",
        "sphinx_last_updated_by_git": "sphinx-last-updated-by-git",
        "notfound.extension": "sphinx-notfound-page",
    }.items():
        assert extension in SPHINX["extensions"]
        assert re.search(rf"^{package}==", requirements, flags=re.MULTILINE)


# --- the reference of lmcore -----------------------------------------------------------------------


def test_the_reference_describes_every_public_name_once():
    tree = ast.parse(Path(lmcore.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    public = sorted(alias.name for node in imports for alias in node.names)
    pages = sorted((ROOT / "book" / "api").glob("*.md"))
    described = sorted(name for path in pages for name in DESCRIBED.findall(path.read_text(encoding="utf-8")))
    assert described == public
