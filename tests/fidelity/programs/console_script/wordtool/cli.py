"""The console script `wordtool`, with a data file beside its code."""

import collections
import importlib.resources

import click


@click.command()
@click.argument("text", type=click.File(encoding="utf-8"))
@click.option("--top", default=2)
def main(text, top):
    stop = set(importlib.resources.files("wordtool").joinpath("stop.txt").read_text().split())
    words = collections.Counter(word for word in text.read().lower().split() if word not in stop)
    for word, count in words.most_common(top):
        click.echo(f"{count} {word}")
