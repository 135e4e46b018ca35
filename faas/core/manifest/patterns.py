"""Whether a pattern or a path of a manifest can ever match, or is written as another tool writes it; pure functions.

Each ``…_fault`` says what is expected in place of a text and what to write instead, and "" when the text is good. What
is good matches something: `tests/unit/test_patterns.py` looks for it, whatever it is given. Cron lines are judged by
`faas.core.manifest.cron_lines`.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable, Iterable

from faas.core import model
from faas.core.http import paths
from faas.core.objects import keys

RESERVED = ("fn", "buckets", "healthz", "readyz")
"""First segments of the gateway's own paths."""

_Foreign = Iterable[tuple[str, str]]
"""What other tools' syntax looks like, each with what to know about it here."""

_URL = (r"^[A-Za-z][A-Za-z0-9+.\-]*:/", "are no URLs")
_BACKSLASH = (r"\\", "have slashes, no backslashes")
_VARIABLE = (r"\$\{|\$\(|^\$[A-Za-z_]|\{\{|^%[A-Za-z_]+%", "are taken as they stand: no variable is put in")
_HOME = (r"^~", "do not begin with a home folder")
_GLOB = (r"[*?]|\[[!^]|\[[^\]]-[^\]]", "are compared letter by letter: no *, no ?, no [a-z]")
_REGEX = (r"^\^|.\$$|\.\+|\([^()]*\|[^()]*\)", "are no regular expressions")
_NAMED = (r"\{[^{}]*\}|<[^<>]*>", "are compared letter by letter: nothing is put in for {name} or <name>")
_LISTED = (r"\w[,;| ]\s*\*?\.\w", "are single: several stand in a list, like [.jpg, .png]")

_NOT_OF_KEYS = (_URL, _VARIABLE, _HOME, _BACKSLASH, _REGEX, _GLOB, _NAMED)
_NOT_OF_FOLDERS = (_URL, (r"^[A-Za-z]:", "have no drive letter"), _VARIABLE, _HOME, _BACKSLASH, _GLOB)
_NOT_OF_ROUTES = (
    (r"^[A-Z$]+\s+\S", "a path alone: methods: [GET] stands beside it"),
    (r"^[A-Za-z][A-Za-z0-9+.\-]*://", "a path, without scheme and host"),
    (r"\{[^{}]*[*:]path\}|\{\*|\*\}|<path:|\.\.\.|\*", "a path whose last segment {name+} takes all that follows"),
    (r"/\(?:[A-Za-z_]", "a path with {name} for a segment, not :name"),
    (r"<[^<>]*>", "a path with {name} for a segment, not <name>"),
    (r"\[[^\[\]]*\]", "a path with {name} for a segment, not [name]"),
    (r"\{[^{}]*[:?]", "a path with {name} alone: what it may be like is for the function to check"),
    (r"[\\^|]|\(\?|\.\+|.\$$", "a path, no regular expression"),
    (r"[?#]", "a path without a query"),
)

_LITERAL = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@\-]|%[0-9A-Fa-f]{2})+").fullmatch
_PARAMETER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\+?\}").fullmatch
_ORIGIN = re.compile(r"https?://(?:(?:\*\.)?[a-z0-9\-]+(?:\.[a-z0-9\-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?").fullmatch


def prefix_fault(prefix: str) -> str:
    """The beginning of objects' keys."""
    why = _why_no_prefix(prefix)
    return _told("the beginning of a key: keys", why, _plain_prefix(prefix), _why_no_prefix)


def suffix_fault(suffix: str) -> str:
    """The end of objects' keys."""
    why = _why_no_suffix(suffix)
    return _told("the end of a key: keys", why, _plain_suffix(suffix), _why_no_suffixes)


def upload_fault(trigger: model.UploadTrigger, end: str) -> str:
    """What is wrong with a prefix and one of the suffixes (or "") that are right by themselves."""
    if not keys.can_match(trigger.prefix, end):
        return "a prefix and a suffix that fit one key"
    if not keys.can_match(trigger.prefix, end, trigger.concerns):
        return "keys that are not ignored, as names of unfinished files are; `ignore` takes one back, like '!*.tmp'"
    return ""


def folder_fault(path: str) -> str:
    """A folder on this machine, or a file in one."""
    plain = re.split(r"[*?\[]", path.replace("\\", "/"))[0].rstrip("/")
    return _told("a folder: paths", _why_no_folder(path), plain, _why_no_folder)


def route_fault(path: str) -> str:
    """The path of a route of the gateway."""
    why = _why_no_route(path)
    return _told("", why, _plain_route(path), _why_no_route)


def handler_fault(handler: str) -> str:
    """What to call, as servers and other platforms write it: ``app:handler``, ``app.py``, ``./app.handler()``."""
    plain = handler.removesuffix("()").replace("\\", "/").removeprefix("./")
    plain = plain.replace(".py:", ".").replace(":", ".")
    if plain.endswith(".py"):
        plain = plain.removesuffix(".py") + ".handler"
    return "" if plain == handler else f"module.function, no file and no call (write {plain})"


def method_hint(method: str) -> str:
    """What to write in place of another tool's word for every method."""
    return "leave methods out: then every one is answered" if method.upper() in ("*", "ANY", "ALL") else ""


def origin_fault(origin: str) -> str:
    """An origin as browsers send it; ``*`` is any, ``https://*.example.com`` whatever is below that name."""
    scheme, _, rest = origin.strip().lower().rpartition("://")
    plain = f"{scheme or 'https'}://{rest.partition('/')[0]}"
    plain = plain.removesuffix(":80" if scheme == "http" else ":443")
    return _told("", _why_no_origin(origin), plain, _why_no_origin)


def _told(what: str, why: str, instead: str, why_not: Callable[[str], str]) -> str:
    if not why:
        return ""
    # Advice is tried before it is given: what is worked out of another tool's words may be as wrong.
    hint = f" (write {instead})" if instead and not why_not(instead) else ""
    return f"{what} {why}{hint}".strip()


def _foreign(text: str, others: _Foreign) -> str:
    return next((what for looks, what in others if re.search(looks, text)), "")


# -- keys


def _why_no_prefix(prefix: str) -> str:
    if why := _foreign(prefix, _NOT_OF_KEYS):
        return why
    return "" if keys.can_match(prefix, "") else _why_no_key(prefix)


def _why_no_suffix(suffix: str) -> str:
    if suffix == "":
        return ""
    # All but the home folder: an editor's backup ends with a tilde.
    if why := _foreign(suffix, (*_NOT_OF_KEYS[:2], *_NOT_OF_KEYS[3:], _LISTED)):
        return why
    return "" if keys.can_match("", suffix) else _why_no_key(suffix)


def _why_no_suffixes(written: str) -> str:
    """As advice has them: one, or several as a list."""
    several = written[1:-1].split(", ") if re.fullmatch(r"\[\..*\]", written) else [written]
    return next(filter(None, map(_why_no_suffix, several)), "")


def _why_no_key(part: str) -> str:
    if part.startswith("/") and keys.can_match(part.lstrip("/"), ""):
        return "have no slash first"
    if "//" in part or part.endswith("/"):
        return "have no two slashes in a row, and none at their end"
    if part.startswith(".") or "/." in part:
        return "have no name that begins with a dot"
    return f"are UTF-8 of at most {keys.MAX_KEY_BYTES} bytes, each name in them of {keys.MAX_NAME_BYTES}"


def _plain_prefix(prefix: str) -> str:
    text = re.sub(r"^[A-Za-z][A-Za-z0-9+.\-]*://[^/]*", "", prefix.removeprefix("^"))
    text = re.sub(r"^(?:~|\$\{?\w+\}?|%\w+%)", "", text)
    if not re.search(r"[*?(\[|$+]", text):
        text = text.replace("\\", "/")
    text = re.sub(r"\\(.)", r"\1", text)
    text = re.split(r"\.?[*?+]|[\[({<|$]", text)[0]
    return re.sub(r"/+", "/", re.sub(r"^(?:\.?/)+", "", text))


def _plain_suffix(suffix: str) -> str:
    text = re.sub(r"\\(.)", r"\1", suffix.removesuffix("$"))
    if found := re.fullmatch(r"[^{(]*?(\.?)[{(]([\w,|]+)[)}]", text):
        return f"[{', '.join(found[1] + each for each in re.split('[,|]', found[2]))}]"
    if re.search(_LISTED[0], text):
        return f"[{', '.join(each.lstrip('*') for each in re.split(r'[,;| ]+', text))}]"
    return re.split(r"\.?[*+?$]|[\])}>]|/", text)[-1].removeprefix("^")


# -- folders


def _why_no_folder(path: str) -> str:
    if not path.strip() or "\0" in path:
        return "name a folder, like ./inbox or /srv/inbox"
    why = _foreign(path, _NOT_OF_FOLDERS)
    return f"{why}, like /home/me/inbox" if why in (_HOME[1], _VARIABLE[1]) else why


# -- routes


def _why_no_route(path: str) -> str:
    segments = path.split("/")[1:]
    why = _foreign(path, _NOT_OF_ROUTES) or _why_no_path(path, segments)
    if why or path == "/":
        return why
    names = [segment.strip("{+}") for segment in segments if _PARAMETER(segment)]
    if len(names) != len(set(names)):
        return "a path whose {names} differ"
    # As it compares: `%66n` is `fn`.
    if paths.parts(path)[0].text in RESERVED:
        return f"a path outside the platform's own ({', '.join(f'/{name}' for name in RESERVED)})"
    return ""


def _why_no_path(path: str, segments: list[str]) -> str:
    if not path.startswith("/"):
        return "a path that begins with a slash"
    if path == "/":
        return ""
    if "" in segments:
        return "a path like /thumb/{name}: no empty segments, and no slash at the end"
    if not all(_PARAMETER(each) or _LITERAL(each) for each in segments):
        return "a path like /thumb/{name}: {name} as a whole segment, and what URLs do not hold escaped"
    if any("+" in each for each in segments[:-1] if _PARAMETER(each)):
        return "a path like /files/{name+}: what takes all that follows is the last segment"
    if paths.has_dot_segments(path):
        return "a path without . and .. segments"
    if not paths.parts(path)[0].text.isprintable() or "%00" in path:
        return "a path without control characters"
    return ""


def _plain_route(path: str) -> str:
    text = re.sub(r"^[A-Z$]+\s+", "", path.strip())
    text = re.sub(r"^[A-Za-z][A-Za-z0-9+.\-]*://[^/]*", "", text)
    text = text.removeprefix("^").removesuffix("$").replace("\\/", "/")
    segments = [_plain_segment(each) for each in re.split(r"/(?![^(\[{<]*[)\]}>])", text)]
    return "/" + "/".join(each for each in segments if each not in ("", ".", ".."))


def _plain_segment(segment: str) -> str:
    """A segment as Express, Flask, FastAPI, Rails, Next.js and others write it, as it is written here."""
    if re.fullmatch(r"\(?\.?\*+\)?", segment):
        return "{proxy+}"
    rest = re.fullmatch(
        r"\*+(\w+)|[{<\[](?:\.\.\.|\*+|path:)(\w+)[}>\]]|\{(\w+)(?::path|\*|:\.[*+])\}|\[\[\.\.\.(\w+)\]\]", segment
    )
    if rest:
        return f"{{{next(name for name in rest.groups() if name)}+}}"
    one = re.fullmatch(
        r"\(?:(\w+)\)?(?:\(.*\))?\??|<(?:\w+:)?(\w+)>|\[(\w+)\]|\{(\w+)(?:[:?].*)?\}|\(\?P<(\w+)>.*\)", segment
    )
    if one:
        return f"{{{next(name for name in one.groups() if name)}}}"
    plain = segment.partition("?")[0].partition("#")[0]
    return urllib.parse.quote(plain, safe="!$&'()*+,;=:@~%{}")


# -- origins


def _why_no_origin(origin: str) -> str:
    if origin == "*":
        return ""
    if _ORIGIN(origin) is None:
        return (
            "an origin like https://app.example.com: scheme and host, in small letters, nothing behind the port; or *"
        )
    scheme, _, rest = origin.partition("://")
    if rest.endswith(":80" if scheme == "http" else ":443"):
        return "an origin without the port that its scheme has anyway"
    return ""
