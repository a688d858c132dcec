"""A click command with a lazily imported renderer."""

import click


@click.command()
@click.option("--rows", type=int, default=3, show_default=True)
@click.option("--style", type=click.Choice(["plain", "rich"]), default="plain")
@click.option("--verbose/--quiet", default=False)
def main(rows, style, verbose):
    table = [(n, n * n, n**3) for n in range(1, rows + 1)]
    if style == "rich":
        from rich.console import Console
        from rich.table import Table

        grid = Table("n", "square", "cube", title="Powers")
        for row in table:
            grid.add_row(*map(str, row))
        Console(width=60).print(grid)
    else:
        for row in table:
            click.echo(" ".join(map(str, row)))
    if verbose:
        click.echo(f"{len(table)} rows")


if __name__ == "__main__":
    main()
