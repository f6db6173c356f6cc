"""A small book with playgrounds of random models in it, and what the browser tests do with its pages."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from playground_models import PROBE, copy_scripts, make_models
from sphinx.testing.util import SphinxTestApp

import lmcore

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "book" / "_ext"))

import playground

SUB_PATH = "some/where"  # of the server: the book need not be at its root
MODELS = "_static/playground/models"
FULL = """# Full

```{playground}
:models: elman gru lstm ngram
:chosen: gru

| what was | expected |
|---|---|
| before | JavaScript |
```
"""
SMALL = """# Small

```{playground}
:models: lstm
:parts: text bars sampling
:prompt: We must
:temperature: 0.5
```

```{playground}
:models: elman gru
:chosen: elman gru
:parts: text
```
"""
STATUS, TOKENS, BARS, COLUMNS = ".pg-status", ".pg-token", ".pg-bars button", ".pg-column"
READY = f"document.querySelector('{STATUS}')?.textContent.includes('Ready')"
SAID = f"document.querySelector('{STATUS}')?.classList.contains('pg-error')"


def make_site(folder: Path, tokenizer: lmcore.Tokenizer, documents: list[str]) -> Path:
    """Build the small book; returns the folder to serve, in which it lies under SUB_PATH."""
    static, source = folder / "static", folder / "source"
    copy_scripts(static / "playground")
    models = static / "playground" / "models"
    lmcore.export_playground(models, tokenizer, make_models(tokenizer, documents))
    (source / "book").mkdir(parents=True)
    for name, text in {"index": "# Start\n", "book/full": FULL, "book/small": SMALL}.items():
        (source / f"{name}.md").write_text(text, encoding="utf-8")
    (source / "conf.py").write_text("", encoding="utf-8")
    settings = {"extensions": ["myst_parser", "playground"], "html_theme": "basic"}
    settings |= {"suppress_warnings": ["toc"], "html_static_path": [str(static)]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(playground, "MANIFEST", models / "manifest.json")
        app = SphinxTestApp(srcdir=source, confoverrides=settings)
        app.build()
        app.cleanup()
    served = folder / "served"
    (served / SUB_PATH).parent.mkdir(parents=True)
    Path(app.outdir).rename(served / SUB_PATH)
    return served


def ask(page, what, **details):
    """Ask the page's own modules (see playground_probe.js)."""
    base = page.url.split("/book/")[0] + "/_static/playground/"
    page.route("**/playground_probe.js", lambda route: route.fulfill(path=PROBE))
    script = (
        "async ([base, what]) => (await import(`${base}playground_probe.js`)).ask(`${base}models/`, what)"
    )
    return json.loads(page.evaluate(script, [base, json.dumps({"what": what, **details})]))


def differently_encoded(page, tokenizer, texts: list[str]) -> list[str]:
    """The texts of which the page makes other tokens than Python, or which it does not get back from them."""
    rows = ask(page, "encode", texts=texts)
    back = ask(page, "decode", rows=rows)
    found = zip(texts, rows, back, strict=True)
    return [text for text, ids, again in found if ids != tokenizer.encode(text) or again != text]


def never_of(tokenizer) -> tuple[int, ...]:
    return tuple(i for i in tokenizer.special_ids if i != tokenizer.eos_id)


def probs_of(logits, tokenizer, **sampling) -> torch.Tensor:
    """(V,): what lmcore draws from with these logits."""
    logits = logits.detach().double().clone()
    logits[list(never_of(tokenizer))] = -torch.inf
    return lmcore.next_token_probs(logits, lmcore.Sampling(**sampling))


def probs_after(model, tokenizer, ids, **sampling) -> torch.Tensor:
    with torch.no_grad():
        return probs_of(model(torch.tensor([ids]))[0][0, -1], tokenizer, **sampling)


def assert_bars(page, probs) -> None:
    """The bars are the largest of these probabilities, as percents with one digit."""
    texts = page.locator(".pg-bar-value").all_text_contents()
    found = [float(text.removeprefix("< ").removesuffix(" %")) for text in texts]
    expected = 100 * probs.sort(descending=True).values[: len(found)].numpy()
    np.testing.assert_allclose(found, expected, atol=0.11)


def status(page) -> str:
    return page.inner_text(STATUS)


def wait_for_status(page, text: str) -> None:
    page.wait_for_function(
        "([where, text]) => document.querySelector(where).textContent.includes(text)", arg=[STATUS, text]
    )


def text_of(page) -> list[str]:
    return page.locator(TOKENS).all_text_contents()


def press(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def show(page, *names: str) -> None:
    """Check the boxes of models, and wait for their columns."""
    for name in names:
        page.get_by_role("checkbox", name=name, exact=True).check()
        page.wait_for_selector(f"{COLUMNS}[aria-label='{name}']")


def run_to_the_end(page) -> None:
    press(page, "Run")
    page.wait_for_function(f"/tokens written|has ended/.test(document.querySelector('{STATUS}').textContent)")
