"""A typer program with two commands; validation is by pydantic or attrs."""

import enum
import json
import pathlib

import typer

app = typer.Typer(add_completion=False)


class Backend(str, enum.Enum):
    attrs = "attrs"
    pydantic = "pydantic"


@app.command()
def validate(source: pathlib.Path, backend: Backend = Backend.attrs, strict: bool = False):
    rows = json.loads(source.read_text())
    if backend is Backend.pydantic:
        from pydantic import create_model

        Row = create_model("Row", name=(str, ...), age=(int, ...))
    else:
        import attr

        Row = attr.make_class("Row", ["name", "age"])
    for row in rows:
        typer.echo(repr(Row(**row)))
    typer.echo(f"{len(rows)} rows are valid for {backend.value}{', strictly' if strict else ''}")


@app.command()
def count(source: pathlib.Path):
    typer.echo(len(json.loads(source.read_text())))


if __name__ == "__main__":
    app()
