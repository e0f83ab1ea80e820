"""The commands about signed heads: make a key, list the heads, sign now, hand them to an auditor."""

from pathlib import Path
from typing import Annotated

import typer
from msgspec import structs

from memorygraph.cli import views
from memorygraph.cli.options import JsonOption, StoreOption, open_to_read, open_to_sign
from memorygraph.cli.output import print_json, say
from memorygraph.events.keys import PUBLIC_SUFFIX, SigningKey, key_id
from memorygraph.heads_files import add_heads


def keygen(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file for the private key; the public one goes to FILE.pub.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Make a key pair to sign heads with.

    Files that are there are never overwritten.
    """
    key = SigningKey.generate()
    key.write(file)
    name, public = key_id(key.public_key), key.public_key.hex()
    if as_json:
        print_json({"private": str(file), "public": f"{file}{PUBLIC_SUFFIX}", "key_id": name, "public_key": public})
        return
    say(f"made key {name}: {file} signs, keep it with who writes; {file}{PUBLIC_SUFFIX} checks, give it to who audits")
    say(f"the public key is {public}")


def heads(
    context: typer.Context,
    sign: Annotated[
        Path | None, typer.Option(help="First sign the head as it is now, with this private key.", metavar="KEYFILE")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Add all signed heads to a file, for an auditor to keep.", metavar="FILE")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the signed heads of the log, newest last; sign now, or write them out.

    A signed head that is kept elsewhere proves later that the log was not rolled back or rewritten: verify --heads.
    """
    if sign is not None:
        with open_to_sign(context, store, sign) as memory:
            memory.sign_head()
    with open_to_read(context, store) as memory:
        listed = memory.heads()
    others = [] if export is None else add_heads(export, listed)
    if as_json:
        print_json([structs.asdict(head) for head in listed])
    elif export is not None:
        say(f"wrote {len(listed)} signed heads to {export}")
        if others:
            say(f'it keeps {len(others)} that this log does not have; "verify --heads {export}" tells why')
    elif listed:
        for head in listed:
            say(views.signed_head_line(head))
    else:
        say('there are no signed heads; "memorygraph keygen FILE" makes a key, "memorygraph heads --sign FILE" signs')
