"""What a person does on the page: call, upload, watch a pipeline, send a dead letter again, follow a log."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import platform as platforms
from tests.browser import Seen

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGPQSLiABzGMSmNDACB1hmEUNfz0AAAAAElFTkSuQmCC"
)
SOURCE = """
import json
import pathlib
import time
import urllib.parse

def handler(event, context):
    print("got", json.dumps(event))
    if event.get("fail"):
        raise ValueError("the basket is empty")
    for step in range(int(event.get("steps", 0))):
        print(f"step {step}", flush=True)
        time.sleep(0.4)
    return {"seen": event}

def shrink(event, context):
    key = urllib.parse.unquote_plus(event["Records"][0]["s3"]["object"]["key"])
    body = context.bucket("photos").open(key, "rb").read()
    with context.bucket("thumbs").open("small/" + key.rpartition("/")[2], "wb") as out:
        out.write(body)

def keep(event, context):
    print("kept", event["Records"][0]["s3"]["object"]["key"])
"""


@pytest.fixture(scope="module")
def works(platform: platforms.Platform, tmp_path_factory: pytest.TempPathFactory) -> platforms.Platform:
    """A chain of uploads, and a function that does what its event says."""
    folder = tmp_path_factory.mktemp("works")
    (folder / "app.py").write_text(SOURCE)
    python = {"runtime": "python3", "memory": "128MB"}
    platform.deploy(
        folder,
        {
            "buckets": {"photos": {}, "thumbs": {}},
            "functions": {
                "obeys": {**python, "handler": "app.handler", "retries": {"maximum_retry_attempts": 0}},
                "shrink": {
                    **python,
                    "handler": "app.shrink",
                    "buckets": {"photos": "read", "thumbs": "write"},
                    "triggers": [{"upload": {"bucket": "photos", "prefix": "in/"}}],
                },
                "keep": {
                    **python,
                    "handler": "app.keep",
                    "buckets": {"thumbs": "read"},
                    "triggers": [{"upload": {"bucket": "thumbs"}}],
                },
            },
        },
    )
    return platform


def test_a_function_is_called_by_the_form(seen: Seen, works: platforms.Platform) -> None:
    seen.open("/functions/obeys?tab=invoke")
    event = seen.page.get_by_label("Event (JSON)")
    event.fill('{"name": Ada}')
    expect(seen.page.get_by_text("This is not JSON")).to_be_visible()
    event.press("Control+Enter")
    expect(seen.page.get_by_role("heading", name="Result")).to_have_count(0)
    event.fill('{"name": "Ada", "id": 12345678901234567890}')
    event.press("Control+Enter")
    expect(seen.page.get_by_role("region", name="Result")).to_contain_text('"id": 12345678901234567890')
    expect(seen.page.get_by_text("got {")).to_be_visible()
    expect(seen.page.get_by_role("heading", name="Report")).to_be_visible()
    event.fill('{"fail": true}')
    seen.page.get_by_role("button", name="Call", exact=True).click()
    expect(seen.page.get_by_text("ValueError: the basket is empty").first).to_be_visible()


def test_an_async_call_leads_to_its_page(seen: Seen, works: platforms.Platform) -> None:
    seen.open("/functions/obeys?tab=invoke")
    seen.page.get_by_label("Do not wait").check()
    seen.page.get_by_role("button", name="Call", exact=True).click()
    seen.page.locator("main").get_by_role("link").filter(has_text="-").last.click()
    expect(seen.page.get_by_text("done", exact=True).first).to_be_visible()
    expect(seen.page.get_by_role("region", name="Result")).to_contain_text('"seen"')


def test_a_dropped_file_runs_the_pipeline_beside_it(seen: Seen, works: platforms.Platform) -> None:
    seen.open("/buckets/photos?prefix=in/")
    data = seen.page.evaluate_handle(
        """(bytes) => {
          const data = new DataTransfer();
          const body = Uint8Array.from(atob(bytes), (each) => each.charCodeAt(0));
          data.items.add(new File([body], "a photo.png", {type: "image/png"}));
          return data;
        }""",
        base64.b64encode(PNG).decode(),
    )
    seen.page.dispatch_event("main", "dragover", {"dataTransfer": data})
    expect(seen.page.locator(".drop.over")).to_be_visible()
    seen.page.dispatch_event("main", "drop", {"dataTransfer": data})
    run = seen.page.get_by_role("region", name="Upload of a photo.png")
    expect(run.get_by_role("link", name="shrink")).to_be_visible(timeout=30_000)
    expect(run.get_by_role("link", name="keep")).to_be_visible(timeout=30_000)
    expect(run.get_by_role("link", name="thumbs/small/a photo.png")).to_be_visible()
    picture = run.locator("img.picture.large").last
    assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 10
    expect(run.get_by_text("done")).to_be_visible()
    expect(seen.page.locator("tbody").get_by_text("a photo.png")).to_be_visible()
    seen.picture("pipeline-light")


def test_an_object_is_uploaded_downloaded_and_deleted(seen: Seen, works: platforms.Platform, tmp_path: Path) -> None:
    seen.open("/buckets/thumbs")
    note = tmp_path / "note #1.txt"
    note.write_bytes(b"hello")
    seen.page.locator("#files").set_input_files(note)
    row = seen.page.locator("tr").filter(has_text="note #1.txt")
    expect(row).to_be_visible()
    with seen.page.expect_download() as download:
        row.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_bytes() == b"hello"
    row.get_by_role("button", name="Delete").click()
    seen.page.keyboard.press("Escape")
    expect(row).to_be_visible()
    row.get_by_role("button", name="Delete").click()
    seen.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)


def test_a_dead_letter_is_looked_at_sent_again_and_dropped(seen: Seen, works: platforms.Platform) -> None:
    dead = works.json("invoke", "obeys", "--data", '{"fail": true}', "--async")["invocation_id"]
    works.record(dead)
    seen.open("/queues")
    row = seen.page.locator("tr").filter(has=seen.page.locator(f'[title="{dead}"]'))
    row.get_by_role("button", name="Look").click()
    dialog = seen.page.get_by_role("dialog")
    expect(dialog.get_by_role("region", name="Event")).to_contain_text('"fail": true')
    seen.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    row.get_by_role("button", name="Send again").click()
    again = row.get_by_role("link", name="sent again")
    expect(again).to_be_visible()
    assert works.record(str(again.get_attribute("title")))["status"] == "error"
    row.get_by_role("button", name="Drop").click()
    seen.page.get_by_role("dialog").get_by_role("button", name="Drop").click()
    expect(row).to_have_count(0)


def test_lines_come_while_somebody_looks(seen: Seen, works: platforms.Platform) -> None:
    seen.open("/functions/obeys?tab=logs")
    works.json("invoke", "obeys", "--data", '{"steps": 1, "who": "somebody"}', "--async")
    expect(seen.page.get_by_text("step 0").first).to_be_visible(timeout=20_000)
    seen.page.get_by_label("Holds").fill("somebody")
    expect(seen.page.get_by_text("step 0")).to_have_count(0)
    expect(seen.page.get_by_text('"who": "somebody"').first).to_be_visible()


def test_figures_change_without_a_reload(seen: Seen, works: platforms.Platform) -> None:
    seen.open("/functions/obeys")
    calls = seen.page.locator("dl.facts div").filter(has_text="Calls").locator("dd")
    before = int(calls.inner_text().replace(",", ""))
    works.json("invoke", "obeys")
    expect(calls).to_have_text(f"{before + 1:,}", timeout=20_000)


def test_lines_are_filtered_and_earlier_ones_fetched(seen: Seen, works: platforms.Platform) -> None:
    one = works.json("invoke", "obeys", "--data", '{"who": "one"}', "--async")["invocation_id"]
    works.json("invoke", "obeys", "--data", '{"who": "two"}')
    works.record(one)
    seen.open("/logs?grep=got")
    lines = seen.page.locator(".line")
    expect(lines.filter(has_text='"who": "two"')).to_have_count(1)
    seen.page.get_by_text("More filters").click()
    seen.page.get_by_label("Invocation").fill(one)
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text('"who": "one"')
    expect(seen.page.get_by_role("button", name="Earlier lines")).to_have_count(0)
    seen.page.get_by_label("Until").fill("2020-01-01T00:00")
    expect(seen.page.get_by_text("No line fits.").or_(seen.page.get_by_role("alert"))).to_be_visible()


def test_how_long_logs_of_a_function_are_kept_is_set_on_the_page(seen: Seen, works: platforms.Platform) -> None:
    page = seen.page
    seen.open("/kept")
    page.get_by_role("combobox", name="Keep", exact=True).select_option("logs")
    page.get_by_role("combobox", name="For", exact=True).select_option("7 days")
    page.get_by_role("textbox", name="Of", exact=True).fill("obeys")
    page.get_by_role("button", name="Set", exact=True).click()
    page.get_by_role("button", name="Set it").click()
    expect(page.get_by_text("It counts from the next look on.")).to_be_visible()
    (obeys,) = works.json("kept", "ls", "obeys")["functions"]
    assert obeys["keep"]["logs"] == {"keep_ms": 7 * 86_400_000, "origin": "function"}
