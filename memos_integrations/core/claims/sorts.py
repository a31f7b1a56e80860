"""What sort of thing a word names, by a list of everyday things: a puppy is a pet, Firefox a browser. Pure."""

from __future__ import annotations

from functools import lru_cache

from memos_integrations.core.text import stem

_SORTS = {
    "pet": "dog puppy cat kitten hamster parrot rabbit bunny goldfish"
    " tortoise budgie canary gerbil ferret gecko terrier"
    " retriever labrador poodle beagle dachshund",
    "car": "honda toyota ford mazda subaru bmw audi volkswagen vw skoda kia hyundai nissan volvo renault peugeot fiat"
    " citroen opel seat lexus chevrolet chevy jeep tesla mercedes porsche mini dacia truck suv van minivan pickup sedan"
    " hatchback",
    "child": "son daughter baby twins boy girl triplets",
    "sibling": "brother sister",
    "alcohol": "wine beer whisky whiskey champagne gin vodka rum cider cocktail prosecco sherry",
    "meat": "chicken beef pork steak ham bacon sausage burger turkey lamb salami",
    "dairy": "milk cheese yogurt yoghurt butter cream",
    "instrument": "guitar piano violin drums cello flute bass trumpet saxophone clarinet ukulele harp keyboard viola",
    "browser": "chrome firefox safari edge brave opera vivaldi",
    "phone": "iphone samsung galaxy pixel android oneplus xiaomi nokia motorola",
    "laptop": "macbook dell lenovo thinkpad hp asus acer chromebook",
    "system": "windows linux macos ubuntu debian fedora",
    "database": "postgres postgresql mysql mariadb mongodb sqlite redis cassandra dynamodb oracle",
    "cloud": "aws azure gcp heroku digitalocean",
    "editor": "vscode vim neovim emacs sublime pycharm intellij atom",
    "chat": "slack teams discord mattermost whatsapp signal telegram",
    "tracker": "jira linear trello asana clickup basecamp",
    "mail": "gmail outlook yahoo hotmail protonmail proton thunderbird",
    "music": "spotify deezer tidal pandora",
    "carrier": "verizon t-mobile sprint vodafone telekom",
    "language": "python rust go java kotlin swift ruby javascript typescript scala haskell php perl",
    "forge": "github gitlab bitbucket",
    "framework": "react vue angular svelte django flask rails laravel",
    "social": "instagram facebook tiktok twitter snapchat linkedin reddit threads bluesky",
    "notes": "notion evernote obsidian onenote",
}
SORT_OF = {stem(word): sort for sort, words in _SORTS.items() for word in words.split()}
"""The stem of a word to the sort of thing that it names."""

CLASS_OF = {
    stem(word): sort
    for word, sort in (
        *((each, each) for each in _SORTS),
        ("animal", "pet"), ("vehicle", "car"), ("children", "child"), ("kid", "child"), ("drink", "alcohol"),
        ("media", "social"),
    )
}  # fmt: skip
"""The stem of a word for a whole sort, to the sort: "pets", "kids"."""


@lru_cache(maxsize=1 << 12)
def sort_of(value: str) -> str:
    """The sort of the first word of a value that names one; empty where none does."""
    return next((SORT_OF[each] for each in map(stem, value.lower().split()) if each in SORT_OF), "")


def one_is_generic(one: str, other: str) -> bool:
    """Whether both name something of one sort, and just one of them by its name: "an SUV", "a Honda"."""
    named = [any(word[:1].isupper() and not word.isupper() for word in each.split()) for each in (one, other)]
    return sort_of(one) == sort_of(other) != "" and named[0] != named[1]
