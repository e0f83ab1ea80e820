"""The command that changes a memory's embedder."""

from typing import Annotated, Final

import typer

from memorygraph.cli.options import AgentOption, JsonOption, StoreOption, open_to_change
from memorygraph.cli.output import print_json, progress_bar, say
from memorygraph.embeddings import HashingEmbedder, OpenAIEmbedder, SentenceTransformerEmbedder

_MINILM: Final = "all-MiniLM-L6-v2"


def reembed(
    context: typer.Context,
    embedder: Annotated[
        str,
        typer.Argument(
            metavar="EMBEDDER",
            help="hashing; minilm; openai or openai:MODEL; else a model of sentence-transformers, by name or folder.",
        ),
    ],
    agent: AgentOption = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give every memory a vector of another embedder, and use that from then on.

    Recall goes on meanwhile. Interrupted, it goes on where it was when it is called again.
    """
    with open_to_change(context, store, agent) as memory, progress_bar("reembed") as step:
        made = _embedder(embedder)
        count = memory.reembed(made, progress=step)
        links = memory.stats().num_edges
    if as_json:
        print_json({"embedded": count, "embedder": made.name, "dim": made.dim, "links": links})
    else:
        say(f"vectors made by {made.name} ({made.dim} dimensions): {count:,}; links: {links:,}")


def _embedder(text: str) -> HashingEmbedder | OpenAIEmbedder | SentenceTransformerEmbedder:
    name, _, model = text.partition(":")
    if text == "hashing":
        return HashingEmbedder()
    if name == "openai":
        return OpenAIEmbedder(model) if model else OpenAIEmbedder()
    return SentenceTransformerEmbedder(_MINILM if text == "minilm" else text)
