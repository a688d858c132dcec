"""Every row of the catalogue of hard sources (B01 to B31): it comes out byte for byte, or is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sources.repositories import ANY_REMOTE
from tests.torture import contents, files, history, layouts
from tests.torture.bench import Bench, Case, Row

ROWS: dict[str, Row] = history.ROWS | contents.ROWS | layouts.ROWS | files.ROWS


@pytest.mark.parametrize("row", sorted(ROWS))
def test_row(
    row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """All cases of a row end as it says."""
    about = ROWS[row]
    record_property("row", row)
    record_property("what", about.what)
    monkeypatch.setenv("LAUNCH_JOBS_GIT_REMOTES", ANY_REMOTE)
    cases: dict[str, Case] = {**about.exact, **about.refused}
    for number, (name, case) in enumerate(cases.items()):
        place = tmp_path / str(number)
        place.mkdir()
        with monkeypatch.context() as own:
            try:
                case(Bench(place, own))
            except BaseException as error:
                error.add_note(f"{row}: {name}")
                raise
    ended = [f"{len(done)} {word}" for done, word in ((about.exact, "ok"), (about.refused, "refused")) if done]
    record_property("ended", ", ".join(ended))
