"""Notes on one page: a FastAPI application, made a handler by Mangum."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from mangum import Mangum
from pydantic import BaseModel, Field
from store import Note, Notes

app = FastAPI(title="Notes", docs_url=None, redoc_url=None)
PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")  # once per sandbox


class NewNote(BaseModel):
    """What a person writes."""

    text: str = Field(min_length=1, max_length=2_000)


def context(request: Request) -> Any:
    """The context of this invocation, which Mangum puts into the request's scope."""
    return request.scope["aws.context"]


def notes(invocation: Annotated[Any, Depends(context)]) -> Notes:
    """The notes, in the bucket of the same name."""
    return Notes(invocation.bucket("notes"))


@app.get("/notes", response_class=HTMLResponse)
def page() -> str:
    return PAGE


@app.get("/notes/items")
def newest(stored: Annotated[Notes, Depends(notes)]) -> list[Note]:
    return stored.newest()


@app.post("/notes/items", status_code=201)
def add(new: NewNote, invocation: Annotated[Any, Depends(context)], stored: Annotated[Notes, Depends(notes)]) -> Note:
    # The invocation's id is the same in every attempt: one that is run again writes its note again, not a second one.
    return stored.add(invocation.invocation_id, new.text)


@app.delete("/notes/items/{id}", status_code=204)
def delete(id: UUID, stored: Annotated[Notes, Depends(notes)]) -> None:
    if not stored.delete(str(id)):
        raise HTTPException(404, "no such note")


handler = Mangum(app, lifespan="off")
