"""Serve the miniature web of web.jsonl on loopback: its pages, a search over them, and a reader.

python examples/deep-research/serve.py [--port 8020] [-- COMMAND …]

With a command the server lives as long as the command runs and gives back its exit code; the command finds the address
in the variable ORSANY as host:port. Port 0 takes a free one.

GET  /atlas/town/keldwick   a page, in HTML
POST /search                as Serper's Google search: {"q", "num", "page"}, header X-API-KEY
POST /reader                as Jina Reader: {"url"}; and GET /reader/URL, which gives Markdown unless JSON is accepted
"""

from __future__ import annotations

import argparse
import html
import json
import math
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

PORT = 8020
LINK = re.compile(r"\[([^\]]+)\]\(([^)]+)\)")
WORD = re.compile(r"[^\W_]+")
STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at by for from has in into is it its of on or that the to was were what which who with",
    )
)
TITLE_WEIGHT = 3
SNIPPET_WORDS = 28
BODY_MOST = 64_000


def words(text: str) -> list[str]:
    """The words that are searched: no stop words, no plural endings."""
    found = (word for word in WORD.findall(text.lower().replace("'s", "").replace("'", "")) if word not in STOP)
    return [word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word for word in found]


class Web:
    """The pages by path, and a BM25 index of their words (k1 = 1.2, b = 0.75)."""

    def __init__(self, file: Path) -> None:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        self.pages = {row["path"]: row for row in rows}
        self._counts = {path: Counter(self._words(row)) for path, row in self.pages.items()}
        self._lengths = {path: sum(counts.values()) for path, counts in self._counts.items()}
        self._mean = sum(self._lengths.values()) / len(self._lengths)
        self._having = Counter(word for counts in self._counts.values() for word in counts)

    def search(self, query: str) -> list[tuple[float, dict]]:
        """Scores and pages, the best first; equal scores in the order of paths."""
        asked = [word for word in dict.fromkeys(words(query)) if word in self._having]
        found = []
        for path, counts in self._counts.items():
            score = 0.0
            for word in asked:
                if count := counts.get(word, 0):
                    rarity = math.log(1 + (len(self.pages) - self._having[word] + 0.5) / (self._having[word] + 0.5))
                    score += rarity * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * self._lengths[path] / self._mean))
            if score:
                found.append((round(score, 6), self.pages[path]))
        return sorted(found, key=lambda item: (-item[0], item[1]["path"]))

    def _words(self, page: dict) -> list[str]:
        return words(page["title"]) * TITLE_WEIGHT + words(plain(" ".join(page["paragraphs"])))


def plain(text: str) -> str:
    """The text without its links."""
    return LINK.sub(r"\1", text)


def snippet(page: dict, query: str) -> str:
    """The sentence that has most of the query, and what follows, in some 28 words."""
    asked = set(words(query))
    sentences = [item for part in page["paragraphs"] for item in re.split(r"(?<=[.!?]) ", plain(part))]
    best = max(range(len(sentences)), key=lambda place: (len(asked & set(words(sentences[place]))), -place))
    shown = " ".join(sentences[best:]).split()
    return " ".join(shown[:SNIPPET_WORDS]) + (" ..." if len(shown) > SNIPPET_WORDS else "")


def as_html(page: dict, front: list[tuple[str, str]]) -> str:
    """A page as a site would show it: navigation, the article, a footer."""
    paragraphs = []
    for part in page["paragraphs"]:
        pieces, place = [], 0
        for link in LINK.finditer(part):
            pieces += [
                html.escape(part[place : link.start()]),
                f'<a href="{html.escape(link[2])}">{html.escape(link[1])}</a>',
            ]
            place = link.end()
        paragraphs.append(f"<p>{''.join(pieces)}{html.escape(part[place:])}</p>")
    title, site = html.escape(page["title"]), html.escape(page["site"])
    menu = "".join(f'<li><a href="{path}">{html.escape(name)}</a></li>' for path, name in front)
    body = "\n".join(paragraphs)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title} – {site}</title></head>\n<body>\n'
        f'<header><nav><ul><li><a href="/">Orsany</a></li>{menu}</ul></nav></header>\n'
        f"<main><article>\n<h1>{title}</h1>\n{body}\n</article></main>\n"
        f"<footer><p>{site}. An invented country, made for an example of AgentFlow.</p></footer>\n</body>\n</html>\n"
    )


def as_markdown(page: dict, origin: str) -> str:
    """The paragraphs of a page with whole addresses in their links."""
    return "\n\n".join(LINK.sub(lambda link: f"[{link[1]}]({origin}{link[2]})", part) for part in page["paragraphs"])


class Door(BaseHTTPRequestHandler):
    """Answer one connection."""

    protocol_version = "HTTP/1.1"
    server: Served

    def do_GET(self) -> None:
        """A page, or a page through the reader."""
        path = unquote(urlsplit(self.path).path)
        if self.path.startswith("/reader/"):
            self._read(unquote(self.path.removeprefix("/reader/")))
        elif page := self.server.web.pages.get(path.rstrip("/") or "/"):
            self._answer(200, "text/html; charset=utf-8", as_html(page, self.server.front))
        else:
            self._answer(
                404, "text/html; charset=utf-8", "<!doctype html><title>Not found</title><p>There is no such page.</p>"
            )

    def do_POST(self) -> None:
        """A search, or a page through the reader."""
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(size, BODY_MOST))
        path = self.path.rstrip("/")
        try:
            asked = json.loads(body)
            if path == "/reader":
                self._read(str(asked["url"]))
            elif path != "/search":
                self._json(404, {"message": "Not found."})
            elif not self.headers.get("X-API-KEY"):
                self._json(403, {"message": "Unauthorized.", "statusCode": 403})
            else:
                self._json(
                    200, [self._search(item) for item in asked] if isinstance(asked, list) else self._search(asked)
                )
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            self._json(400, {"message": f"Bad request: {error!r}", "statusCode": 400})

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the commands beside the server speak."""

    def _search(self, asked: dict) -> dict:
        query, num, page = str(asked["q"]), int(asked.get("num") or 10), int(asked.get("page") or 1)
        found = self.server.web.search(query)[num * (page - 1) : num * page]
        organic = [
            {
                "title": f"{item['title']} – {item['site']}",
                "link": self.server.url + item["path"],
                "snippet": snippet(item, query),
                "position": place,
            }
            for place, (_, item) in enumerate(found, num * (page - 1) + 1)
        ]
        return {
            "searchParameters": {"q": query, "type": "search", "num": num, "page": page},
            "organic": organic,
            "credits": 0,
        }

    def _read(self, url: str) -> None:
        page = self.server.web.pages.get(urlsplit(url).path.rstrip("/") or "/")
        wants_json = "application/json" in self.headers.get("Accept", "")
        if page is None or not url.startswith(self.server.url):
            problem = {
                "code": 422,
                "status": 42206,
                "name": "AssertionFailureError",
                "message": f"{url} is not here",
                "data": None,
            }
            self._json(422, problem)
            return
        content = as_markdown(page, self.server.url)
        title = f"{page['title']} – {page['site']}"
        if wants_json:
            links = {link[1]: self.server.url + link[2] for part in page["paragraphs"] for link in LINK.finditer(part)}
            data = {
                "title": title,
                "description": "",
                "url": url,
                "content": content,
                "links": links,
                "usage": {"tokens": len(content) // 4},
            }
            self._json(200, {"code": 200, "status": 20000, "data": data})
        else:
            self._answer(
                200,
                "text/plain; charset=utf-8",
                f"Title: {title}\n\nURL Source: {url}\n\nMarkdown Content:\n{content}\n",
            )

    def _json(self, status: int, value: object) -> None:
        self._answer(status, "application/json; charset=utf-8", json.dumps(value, ensure_ascii=False))

    def _answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Served(ThreadingHTTPServer):
    """The server and what it serves."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, web: Web, port: int) -> None:
        super().__init__(("127.0.0.1", port), Door)
        self.web = web
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        #: the lists, for the navigation of every page
        self.front = [(path, page["title"]) for path, page in web.pages.items() if path.count("/") == 2]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that went away; all else is a fault of the server."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main() -> int:
    """Serve until stopped, or as long as a command runs."""
    parser = argparse.ArgumentParser(description="Serve the miniature web on loopback.")
    parser.add_argument("--port", type=int, default=PORT, help=f"default {PORT}; 0: a free one")
    parser.add_argument("command", nargs="*", help="run this beside the server, then stop")
    given = parser.parse_args()
    try:
        server = Served(Web(Path(__file__).with_name("web.jsonl")), given.port)
    except OSError as error:
        sys.stderr.write(f"port {given.port} cannot be had ({error.strerror}): --port takes another, 0 a free one\n")
        return 1
    with server:
        sys.stderr.write(f"{len(server.web.pages)} pages on {server.url}\n")
        sys.stderr.flush()
        if given.command:
            Thread(target=server.serve_forever, daemon=True).start()
            code = beside(server, given.command)
            server.shutdown()
            return code
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0


def beside(server: Served, command: list[str]) -> int:
    """Run the command to its end, which a signal asks it for and not the server; its exit code."""
    try:
        process = subprocess.Popen(command, env=os.environ | {"ORSANY": server.url.removeprefix("http://")})
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be run: {error.strerror}\n")
        return 127
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while True:
        with suppress(KeyboardInterrupt):  # the terminal has sent it to the command too
            return process.wait()


if __name__ == "__main__":
    sys.exit(main())
