"""The handlers of the examples, called with buckets that are plain folders."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import BinaryIO, cast
from urllib.parse import quote_plus

import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"


class FolderBucket:
    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, key: str, mode: str) -> BinaryIO:
        path = self.root / key
        if "w" in mode:
            path.parent.mkdir(parents=True, exist_ok=True)
        return cast(BinaryIO, path.open(mode))

    def list(self, prefix: str) -> list[SimpleNamespace]:
        files = [path for path in (self.root / prefix).rglob("*") if path.is_file()]
        return [SimpleNamespace(size=path.stat().st_size) for path in files]


class FolderContext:
    aws_request_id = "an-invocation"

    def __init__(self, root: Path) -> None:
        self.root = root

    def bucket(self, name: str) -> FolderBucket:
        return FolderBucket(self.root / name)


@pytest.fixture
def context(tmp_path: Path) -> FolderContext:
    return FolderContext(tmp_path)


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.replace("/", "_"), EXAMPLES / path / "app.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def upload(context: FolderContext, bucket: str, key: str, content: bytes) -> dict[str, object]:
    with context.bucket(bucket).open(key, "wb") as file:
        file.write(content)
    s3 = {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/")}}
    return {"Records": [{"eventTime": "2026-05-04T03:02:01.000Z", "s3": s3}]}


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def original(name: str) -> bytes:
    return (EXAMPLES / "photos" / "originals" / name).read_bytes()


def opened(context: FolderContext, key: str) -> Image.Image:
    with context.bucket("thumbs").open(key, "rb") as file:
        image = Image.open(file)
        image.load()
        return image


@pytest.mark.parametrize("path", sorted((EXAMPLES / "photos" / "originals").iterdir()), ids=lambda path: path.name)
def test_each_shipped_photo_becomes_a_webp_and_a_thumbnail(context: FolderContext, path: Path) -> None:
    event = upload(context, "photos", f"in/{path.name}", path.read_bytes())
    result = load("photos/transcode").handler(event, context)
    assert result == {"written": [f"full/{path.name}.webp", f"small/{path.name}.webp"]}
    full, small = (opened(context, key) for key in result["written"])
    with Image.open(path) as source:
        assert full.size == source.size
    assert full.format == small.format == "WEBP"
    assert max(small.size) == 320


def test_a_photo_turned_by_its_exif_tag_comes_out_upright(context: FolderContext) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.new("RGB", (400, 200), "red"), "JPEG", exif=exif)
    load("photos/transcode").handler(upload(context, "photos", "in/turned.jpg", content), context)
    assert opened(context, "full/turned.jpg.webp").size == (200, 400)


def test_transparency_is_kept(context: FolderContext) -> None:
    content = encoded(Image.new("RGBA", (40, 20), (255, 0, 0, 0)), "PNG")
    load("photos/transcode").handler(upload(context, "photos", "in/clear.png", content), context)
    assert opened(context, "full/clear.png.webp").getchannel("A").getextrema() == (0, 0)


@pytest.mark.parametrize("name", ["a b+c%41.jpg", "Größe/日本.jpg"])
def test_names_arrive_encoded_and_are_decoded(context: FolderContext, name: str) -> None:
    content = encoded(Image.new("RGB", (8, 8)), "JPEG")
    result = load("photos/transcode").handler(upload(context, "photos", f"in/{name}", content), context)
    assert result["written"] == [f"full/{name}.webp", f"small/{name}.webp"]


@pytest.mark.parametrize(
    "content", [b"", b"not a photo", original("rocket.jpg")[:20_000], original("coffee.png")[:9_000]]
)
def test_what_is_no_whole_photo_is_refused_by_name_and_leaves_nothing(context: FolderContext, content: bytes) -> None:
    transcode = load("photos/transcode")
    event = upload(context, "photos", "in/broken.jpg", content)
    with pytest.raises(transcode.NotAPhoto, match=r"in/broken\.jpg"):
        transcode.handler(event, context)
    assert not (context.root / "thumbs").exists()


def test_an_object_archived_twice_is_kept_once(context: FolderContext) -> None:
    archive = load("photos/archive")
    event = upload(context, "thumbs", "small/a b.webp", b"some bytes")
    first, second = archive.handler(event, context), archive.handler(event, context)
    assert first == second
    files = [path for path in (context.root / "archive" / "2026-05-04").rglob("*") if path.is_file()]
    assert len(files) == 2
    assert (context.root / "archive" / first["archived"][0]).read_bytes() == b"some bytes"
    entry = json.loads(next(path for path in files if path.suffix == ".json").read_text())
    assert (entry["key"], entry["bytes"], entry["object"]) == ("small/a b.webp", 10, first["archived"][0])


def test_each_handler_says_first_which_object_it_reads(
    context: FolderContext, capsys: pytest.CaptureFixture[str]
) -> None:
    load("photos/archive").handler(upload(context, "thumbs", "small/ä b.webp", b"some bytes"), context)
    transcode = load("photos/transcode")
    with pytest.raises(transcode.NotAPhoto):
        transcode.handler(upload(context, "photos", "in/empty.jpg", b""), context)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said == [{"reading": "thumbs/small/ä b.webp"}, {"reading": "photos/in/empty.jpg"}]


def test_a_thumbnail_is_served_as_the_image_itself(context: FolderContext) -> None:
    upload(context, "thumbs", "small/a b.jpg.webp", b"an image")
    answer = load("photos/thumb").handler({"pathParameters": {"name": "a b.jpg"}}, context)
    assert (answer["statusCode"], answer["headers"]["content-type"]) == (200, "image/webp")
    assert base64.b64decode(answer["body"]) == b"an image"
    assert load("photos/thumb").handler({"pathParameters": {"name": "c.jpg"}}, context)["statusCode"] == 404


def test_the_tally_counts_what_was_archived_on_the_day_of_the_timer(context: FolderContext) -> None:
    archive = load("photos/archive")
    for key, content in (("a.webp", b"12345"), ("b.webp", b"123"), ("c.webp", b"123")):
        archive.handler(upload(context, "thumbs", key, content), context)
    tally = load("photos/tally").handler({"time": "2026-05-04T23:59:55Z"}, context)
    assert tally == {"day": "2026-05-04", "objects": 2, "bytes": 8}
    assert json.loads((context.root / "archive/2026-05-04/tally.json").read_bytes()) == tally


def test_hello_greets_whoever_the_path_names() -> None:
    context = SimpleNamespace(aws_request_id="an-invocation")
    answer = load("hello").handler({"pathParameters": {"name": "Ada"}}, context)
    assert answer == {"message": "Hello, Ada!", "invocation": "an-invocation"}


def test_a_digest_names_the_day_that_ended_and_counts_by_suffix() -> None:
    digest = load("digest")
    due = digest.due_time({"time": "2026-05-05T00:00:00Z"})
    assert due.isoformat() == "2026-05-05T00:00:00+00:00"
    objects = [SimpleNamespace(key=key, size=size, modified_ms=size) for key, size in (("a", 3), ("b.Txt", 1))]
    assert digest.summarized(objects) == {
        "count": 2,
        "bytes": 4,
        "newest": {"key": "a", "written": "1970-01-01T00:00:00.003+00:00"},
        "by_suffix": {".txt": {"count": 1, "bytes": 1}, "none": {"count": 1, "bytes": 3}},
    }


def test_a_digest_of_an_empty_bucket_has_no_newest_object() -> None:
    assert load("digest").summarized([]) == {"count": 0, "bytes": 0, "newest": None, "by_suffix": {}}


@pytest.mark.parametrize(("ending", "mode"), [("png", "I;16"), ("tiff", "I;16"), ("tiff", "I")])
def test_grey_of_sixteen_bits_keeps_its_shades(context: FolderContext, ending: str, mode: str) -> None:
    ramp = Image.linear_gradient("L").convert("I").point(lambda value: value * 257)
    made = io.BytesIO()
    (ramp if mode == "I" else ramp.convert(mode)).save(made, ending)
    load("photos/transcode").handler(upload(context, "photos", f"in/ramp.{ending}", made.getvalue()), context)
    with Image.open(context.root / "thumbs" / "full" / f"ramp.{ending}.webp") as photo:
        shades = [photo.convert("L").getpixel((5, at)) for at in (2, 128, 253)]
    assert [abs(int(shade) - wanted) < 12 for shade, wanted in zip(shades, (2, 128, 253), strict=True)] == [True] * 3


def test_a_charge_fails_for_as_many_of_a_hundred_orders_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILING", "30")
    shop, failed = load("observe/shop"), 0
    for order in range(200):
        try:
            shop.charge({"body": json.dumps({"order": order, "cents": 5})}, None)
        except shop.BankIsAway:
            failed += 1
    assert failed == 60
    quoted = {shop.quote({"pathParameters": {"item": "tea"}}, None)["cents"] for _ in range(2)}
    assert len(quoted) == 1
