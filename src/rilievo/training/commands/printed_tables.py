"""Tables of probes and of correspondence on the terminal."""

from rilievo.cli.streams import format_table, printing, say
from rilievo.io.files.names import printable
from rilievo.pages.tables import Table


def print_table(table: Table) -> None:
    """Print a table in columns, with its title above and its notes and sources below.

    The best values have an exclamation mark, because a terminal has no bold.
    """
    with printing():
        for text in (table.title, *table.lead):
            if text:
                say(f"{printable(text)}\n")
        say(format_table(table.terminal_headings, table.terminal_rows))
        say("")
        for note in table.notes:
            say(printable(note.replace("Bold marks", "! marks")))
        for number, source in enumerate(table.sources, start=1):
            say(f"[{number}] {printable(source)}")
