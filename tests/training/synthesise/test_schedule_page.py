from pathlib import Path

from hashwarden.model.job.taxonomy import STRATEGIES
from hashwarden.training.synthesise.kinds import KINDS
from hashwarden.training.synthesise.schedule_page import page

ROOT = Path(__file__).parents[3]


def test_the_page_is_made_from_the_tables():
    remedy = "run python -m hashwarden.training.synthesise.schedule_page docs/schedules.md"
    assert (ROOT / "docs" / "schedules.md").read_text(encoding="utf-8") == page(), remedy


def test_the_page_names_every_kind_and_strategy():
    text = page()
    assert all(f"| `{kind.family}` | {kind.summary} |" in text for kind in KINDS if kind.label != "mining")
    assert all(f"### {strategy}\n" in text for strategy in STRATEGIES)
