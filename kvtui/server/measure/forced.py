"""A text read by a running llama-server, token by token as it stands (teacher forcing): what it expects next at chosen
positions, and whether it finds what is hidden in a long prompt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvtui.base.findings import UsageError
from kvtui.cache.divergence import Likeliest
from kvtui.server.http.client import ServerClient

MOST_LIKELY = 100  # tokens asked for at each position; of the rest the divergence knows the sum
FIRST_POSITION = 32  # tokens before the first position: a text's first few words are anybody's guess
REQUEST_SECONDS = 1800.0  # the longest prompt of a slow machine, in one request
ANSWER_TOKENS = 8  # room for a number of five digits, a token each, and what stands around it
CHARACTERS_PER_TOKEN = 16  # more than any text has: what is beyond is not worth sending
_RESERVE = 96  # tokens of the questions and answers at the end of the prompt

# What is hidden, how far into the prompt, and the words that ask for it: numbers, since no model can guess one.
NEEDLES = (
    (0.1, "The number of the green door is", "48217"),
    (0.5, "The number of the old lighthouse is", "90635"),
    (0.9, "The number of the third wagon is", "27194"),
)
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Text:
    """A text to measure on, and where it is from."""

    source: str
    content: str


def positions(tokens: int, wanted: int) -> tuple[int, ...]:
    """At most `wanted` numbers of tokens read, evenly from FIRST_POSITION to the end of a text of `tokens`. Raises
    UsageError for a text too short to have one."""
    room = tokens - FIRST_POSITION
    if room < 1:
        raise UsageError(f"a text of {tokens} tokens is too short to measure on: more than {FIRST_POSITION} are needed")
    count = min(wanted, room)
    return tuple(FIRST_POSITION + (i * room) // count for i in range(count))


def read_text(client: ServerClient, text: Text, n_ctx: int, wanted: int, progress: Progress) -> tuple[Likeliest, ...]:
    """What the server expects at `wanted` positions of as much of `text` as `n_ctx` tokens hold."""
    tokens = client.tokens(text.content[: n_ctx * CHARACTERS_PER_TOKEN], special=True)[: n_ctx - 1]
    places = positions(len(tokens), wanted)
    found = []
    for i, place in enumerate(places):
        progress(i, len(places))
        found.append(client.likeliest(tokens[:place], MOST_LIKELY, REQUEST_SECONDS))
    return tuple(found)


def hidden(client: ServerClient, text: Text, n_ctx: int) -> tuple[int, ...]:
    """A prompt that fills `n_ctx` tokens but for the questions: `text` over and over, with NEEDLES in it."""
    start = client.tokens("", special=True)
    filler = client.tokens("\n" + text.content[: n_ctx * CHARACTERS_PER_TOKEN])
    needles = [client.tokens(f"\n{words} {number}. Once more: {words.lower()} {number}.\n") for _, words, number in NEEDLES]
    room = n_ctx - len(start) - sum(map(len, needles)) - _RESERVE
    if room < 1 or not filler:
        raise UsageError(f"a context of {n_ctx} tokens has no room for hidden numbers")
    straw = (filler * (room // len(filler) + 1))[:room]
    prompt, at = list(start), 0
    for (share, _, _), needle in zip(NEEDLES, needles, strict=True):
        until = int(share * room)
        prompt += [*straw[at:until], *needle]
        at = until
    return (*prompt, *straw[at:])


def find_needles(client: ServerClient, prompt: Sequence[int], progress: Progress) -> int:
    """How many of NEEDLES the server finds in `prompt`. Each answer is put right before the next question."""
    said, found = list(prompt), 0
    for i, (_, words, number) in enumerate(NEEDLES):
        progress(i, len(NEEDLES))
        said += client.tokens(f"\n{words}")
        found += number in client.continued(said, ANSWER_TOKENS, REQUEST_SECONDS)
        said += client.tokens(f" {number}.")
    return found
