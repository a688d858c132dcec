"""A real headless browser before the real Prefect UI. What it sees is kept as screenshots."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which
from typing import TypeVar

from playwright.sync_api import Dialog, Page, expect, sync_playwright

from launch_jobs.local.connection import Connection

T = TypeVar("T")

_KNOWN = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("LAUNCH_JOBS_CHROMIUM") or next(filter(None, map(which, _KNOWN)), None)
"""The browser: the one that is named, else Debian's or another of its family; never one that Playwright brings."""

_PATIENCE_MS = 90_000


def screenshot_folder() -> Path:
    """Where screenshots are kept, for people and for CI."""
    default = Path(__file__).parents[2] / "test-artifacts"
    return Path(os.environ.get("LAUNCH_JOBS_TEST_ARTIFACTS") or default)


class Visitor:
    """Someone who looks at the UI. Playwright's synchronous API lives in a thread of its own."""

    def __init__(self, server: Connection, folder: Path) -> None:
        self._server, self._folder = server, folder
        self._thread = ThreadPoolExecutor(1)
        self.alarms: list[str] = []
        """Dialogs that a page opened: a script of somebody's ran."""

    def __enter__(self) -> Visitor:
        self._thread.submit(self._open).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _open(self) -> None:
        expect.set_options(timeout=_PATIENCE_MS)
        self._playwright = sync_playwright().start()
        self._browser = self._playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        self._page = self._browser.new_page(viewport={"width": 1400, "height": 1000})
        self._page.set_default_timeout(_PATIENCE_MS)
        self._page.on("dialog", self._alarm)

    def _close(self) -> None:
        self._browser.close()
        self._playwright.stop()

    def _alarm(self, dialog: Dialog) -> None:
        self.alarms.append(dialog.message)
        dialog.dismiss()

    async def sees(self, what: Callable[[Page], T], shot: str | None = None) -> T:
        """Do something with the page in the browser's thread; keep what it shows then, also if it failed."""

        def look() -> T:
            try:
                return what(self._page)
            finally:
                if shot:
                    self._page.screenshot(path=self._folder / f"{shot}.png", full_page=True)

        return await asyncio.wrap_future(self._thread.submit(look))

    async def logs_in(self) -> None:
        """Open the server's address and give the password that is asked for."""

        def log_in(page: Page) -> None:
            page.goto(self.address(""))
            page.get_by_placeholder("admin:pass").fill(self._server.auth_string)
            page.get_by_role("button", name="Login").click()
            expect(page.get_by_role("link", name="Deployments")).to_be_visible()

        await self.sees(log_in, "1-dashboard")

    def address(self, path: str) -> str:
        """URL of a page of the UI."""
        return f"{self._server.api_url.removesuffix('/api')}/{path}"
