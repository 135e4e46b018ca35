"""A FastAPI application through Mangum."""

from fastapi import FastAPI, HTTPException, Request, Response
from mangum import Mangum
from pydantic import BaseModel

app = FastAPI()


class Note(BaseModel):
    title: str
    stars: int = 0


@app.get("/notes/{name}")
async def read(name: str, request: Request, response: Response, q: str = ""):
    if name == "missing":
        raise HTTPException(404, "no such note")
    response.set_cookie("seen", name)
    scope = request.scope["aws.context"]
    return {"name": name, "q": q, "id": scope.aws_request_id, "agent": request.headers.get("user-agent")}


@app.post("/notes", status_code=201)
def write(note: Note):
    return note


@app.get("/picture")
def picture():
    return Response(b"\x89PNG\x00\xff", media_type="image/png")


@app.get("/broken")
def broken():
    raise RuntimeError("a bug in a route")


handler = Mangum(app, lifespan="off")
