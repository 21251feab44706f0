"""The built-in cover site: a few plain pages, made from a seed, so that no two installations look alike."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta

_ADJECTIVES = ("Quiet", "North", "Little", "Blue", "Morning", "Old", "River", "Amber", "Lower", "Silver", "Hill",
               "Green", "Harbour", "Winter", "Maple", "Stone", "Copper", "Linden")
_FONTS = ("Georgia, serif", "system-ui, sans-serif", "'Segoe UI', Verdana, sans-serif",
          "Palatino, 'Book Antiqua', serif", "'Trebuchet MS', sans-serif", "Cambria, 'Times New Roman', serif")
_STARTS = ("This week", "On Sunday", "Earlier this month", "After a long break", "Last Thursday",
           "Between two rainy days", "With some help from friends", "Before the holidays")
_ENDS = ("More of it another time.", "The pictures will follow when they are sorted.",
         "It took longer than planned, as always.", "We are happy with how it turned out.",
         "Next time we would start earlier.", "Thanks to everybody who asked.",
         "A second try is planned for the spring.", "The rest is a matter of patience.")
_MIDDLES = ("It went better than the first attempt.", "Half of an afternoon was gone before we noticed.",
            "The weather did not help, but did not stop us either.",
            "Two small mistakes were made, and one of them was found in time.",
            "A neighbour lent us what was missing.", "We wrote down the measurements for later.",
            "Nothing had to be thrown away.", "The old notes turned out to be useful.",
            "There is a list of what is left to do, and it is short.")


@dataclass(frozen=True)
class _Theme:
    nouns: tuple[str, ...]
    about: tuple[str, ...]
    subjects: tuple[str, ...]
    deeds: tuple[str, ...]


_THEMES = (
    _Theme(("Garden", "Orchard", "Allotment", "Greenhouse"),
           ("We keep a small garden behind the house, and these are the notes about it.",
            "A shared garden of four families, on what used to be a parking place."),
           ("Tomatoes", "The compost heap", "Apple trees", "A new bed for herbs", "Seeds for next year", "Watering"),
           ("we dug over the bed along the wall and put in what had waited on the window sill",
            "the last of the beans came in, rather more than anybody had asked for",
            "we cut back the raspberries and mended the fence behind them",
            "the rain barrel got a new tap and stands level for the first time")),
    _Theme(("Workshop", "Joinery", "Woodworks", "Bench"),
           ("Notes from a hobby workshop: mostly wood, sometimes metal, never in a hurry.",
            "A bench, some hand tools and the things that are made on it."),
           ("A shelf for the hall", "Sharpening", "The stool, once more", "Leftover oak", "A box with a lid", "Glue"),
           ("the boards were planed and left to settle for a few days",
            "we fitted the drawer, took it apart, and fitted it again",
            "an old chair came back with a loose leg and left with four good ones",
            "the vice was cleaned, oiled and moved to the other end of the bench")),
    _Theme(("Walks", "Trails", "Footpaths", "Rambles"),
           ("Short walks near the town, with what to look at on the way and where to sit down.",
            "We walk on most weekends and write down the way, for ourselves and for you."),
           ("Round the lake", "The mill path", "A view from the tower", "The old railway", "Mud", "Three bridges"),
           ("we took the path on the far bank and came back over the fields",
            "the signs had been repainted, and for once nobody got lost",
            "we set out early and had the ridge to ourselves until noon",
            "the bridge was closed, so the walk became two hours longer")),
    _Theme(("Kitchen", "Bakery", "Table", "Pantry"),
           ("Bread, soup and what else comes out of a small kitchen.",
            "Recipes that have worked at least twice, written down before they are forgotten."),
           ("Rye bread", "Soup for six", "Plum cake", "What to do with quinces", "A better crust", "Dumplings"),
           ("the dough rose overnight in the cool hall and was baked before breakfast",
            "we cooked for eight and were eleven, and it was enough",
            "the jars were filled, labelled and put where nobody can see them",
            "we tried the recipe with half of the sugar and did not miss it")),
    _Theme(("Readers", "Library", "Book circle", "Pages"),
           ("A circle of readers that meets once a month. Here is what we read.",
            "Notes on books, mostly borrowed, in no order at all."),
           ("A book about rivers", "Short stories", "Letters", "Reading aloud", "The long novel", "Second-hand"),
           ("we talked about the last chapter and disagreed about all of it",
            "everybody brought a book that is older than they are",
            "we read the first ten pages aloud and kept going until midnight",
            "the shelf by the door was sorted, and four books found their owners")),
    _Theme(("Choir", "Music room", "Strings", "Ensemble"),
           ("We make music together on Wednesdays, for the fun of it and twice a year for others.",
            "An amateur ensemble and its diary."),
           ("The summer concert", "New scores", "Tuning", "Rehearsal", "The second movement", "A room with an echo"),
           ("we went through the slow part until it was slow enough",
            "three new voices came, and all of them stayed",
            "the programme was settled after only one vote",
            "we played in the hall and learned how long an echo can be")),
)


def files(seed: bytes) -> dict[str, bytes]:
    """File name -> content of the whole site. The same seed makes the same site."""
    return {name: text.encode() for name, text in _Site(random.Random(seed)).pages().items()}


class _Site:
    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._theme = dice.choice(_THEMES)
        noun, adjective = dice.choice(self._theme.nouns), dice.choice(_ADJECTIVES)
        self._title = dice.choice((f"{adjective} {noun}", f"The {adjective} {noun}", f"{noun} notes",
                                   f"Our {noun.lower()}"))
        self._style_name = dice.choice(("style.css", "site.css", "main.css", "css/style.css", "assets/site.css"))
        self._about_name = dice.choice(("about.html", "who.html", "about-us.html"))
        self._class = dice.choice(("page", "wrap", "content", "sheet", "column"))
        self._entry = dice.choice(("entry", "note", "post", "item"))
        self._void, self._doctype = dice.choice((">", " />")), dice.choice(("<!DOCTYPE html>", "<!doctype html>"))
        self._head = dice.choice(("header", 'div class="top"'))
        self._links = dice.choice((("Home", "About"), ("Start", "About"), ("Notes", "Who we are"),
                                   ("First page", "About us")))
        self._footer = dice.choice((self._title, f"{self._title} - a private page", "Written by hand.", ""))
        self._hue, self._dark = dice.randrange(360), dice.random() < 0.25
        self._notes = self._written()

    def pages(self) -> dict[str, str]:
        about = (f"<h2>About</h2>\n<p>{self._dice.choice(self._theme.about)}</p>\n"
                 f"<p>{' '.join(self._dice.sample(_MIDDLES, 2))}</p>")
        shown = {
            "index.html": self._page("", self._front()),
            self._about_name: self._page("About", about),
            "404.html": self._page("Not found", self._dice.choice((
                "<h2>Not found</h2>\n<p>There is no such page here.</p>",
                "<h2>This page does not exist</h2>\n<p>It may have been moved, or never written.</p>",
                "<h2>Nothing here</h2>\n<p>Try the <a href=\"/\">first page</a>.</p>"))),
            self._style_name: self._style(),
            "favicon.svg": self._icon(),
            "robots.txt": self._dice.choice(("User-agent: *\nDisallow:\n", "User-agent: *\nAllow: /\n")),
        }
        for name, (subject, day, text) in self._notes.items():
            shown[name] = self._page(subject, f"<h2>{subject}</h2>\n<p class=\"date\">{_day(day)}</p>\n{text}")
        return shown

    def _written(self) -> dict[str, tuple[str, date, str]]:
        """File name -> (subject, day, paragraphs), newest first."""
        dice = self._dice
        subjects = dice.sample(self._theme.subjects, dice.randint(3, 5))
        day, folder = date(2025, 1, 1) + timedelta(days=dice.randrange(365)), dice.choice(("", "notes/", "archive/"))
        notes: dict[str, tuple[str, date, str]] = {}
        starts, deeds, middles, ends = (dice.sample(words, len(words)) for words in (
            _STARTS, self._theme.deeds, _MIDDLES, _ENDS))
        for number, subject in enumerate(subjects):
            # The words run out only after everything was said once.
            said = [f"{starts.pop()} {deeds[number % len(deeds)]}."]
            said += [middles.pop() for _ in range(dice.randint(0, min(2, len(middles))))]
            if len(said) > 2 and dice.random() < 0.5:
                said = [" ".join(said[:2]), *said[2:]]
            said.append(ends.pop())
            slug = "-".join("".join(c if c.isalnum() else " " for c in subject.lower()).split())
            notes[f"{folder}{slug}.html"] = (subject, day, "\n".join(f"<p>{p}</p>" for p in said))
            day -= timedelta(days=dice.randrange(9, 120))
        return notes

    def _front(self) -> str:
        tag = self._dice.choice(("article", "section", "div"))
        whole = self._dice.random() < 0.5
        parts = []
        for name, (subject, day, text) in self._notes.items():
            shown = text if whole else text.partition("\n")[0]
            parts.append(f"<{tag} class=\"{self._entry}\">\n<h2><a href=\"/{name}\">{subject}</a></h2>\n"
                         f"<p class=\"date\">{_day(day)}</p>\n{shown}\n</{tag}>")
        return "\n".join(parts)

    def _page(self, subject: str, body: str) -> str:
        title, end = f"{subject} - {self._title}" if subject else self._title, self._void
        home, about = self._links
        lines = [
            self._doctype, '<html lang="en">', "<head>", f'<meta charset="utf-8"{end}',
            f'<meta name="viewport" content="width=device-width, initial-scale=1"{end}', f"<title>{title}</title>",
            f'<link rel="stylesheet" href="/{self._style_name}"{end}', f'<link rel="icon" href="/favicon.svg"{end}',
            "</head>", "<body>", f'<div class="{self._class}">', f"<{self._head}>",
            f'<h1><a href="/">{self._title}</a></h1>',
            f'<nav><a href="/">{home}</a> <a href="/{self._about_name}">{about}</a></nav>',
            f"</{self._head.partition(' ')[0]}>", "<main>", body, "</main>"]
        lines += [f"<footer>{self._footer}</footer>"] if self._footer else []
        return "\n".join((*lines, "</div>", "</body>", "</html>", ""))

    def _style(self) -> str:
        dice, hue = self._dice, self._hue
        paper, ink = ("16%", "88%") if self._dark else (f"{dice.randint(94, 99)}%", f"{dice.randint(12, 24)}%")
        accent = f"hsl({hue}, {dice.randint(35, 70)}%, {68 if self._dark else 34}%)"
        header = dice.choice(("text-align: center;", f"border-bottom: 2px solid {accent};",
                              ("display: flex; flex-wrap: wrap; gap: 1rem; align-items: baseline; "
                               "justify-content: space-between;")))
        return (f"body {{ margin: 0; background: hsl({hue}, {dice.randint(5, 30)}%, {paper}); "
                f"color: hsl({hue}, 12%, {ink}); font: {dice.choice((16, 17, 18, 19))}px/1.{dice.randint(45, 70)} "
                f"{dice.choice(_FONTS)}; }}\n"
                f".{self._class} {{ max-width: {dice.randint(34, 52)}rem; margin: 0 auto; "
                f"padding: {dice.randint(1, 3)}rem 1.2rem; }}\n"
                f"{'header' if self._head == 'header' else '.top'} {{ {header} padding-bottom: 1rem; "
                f"margin-bottom: {dice.randint(1, 3)}rem; }}\n"
                f"h1 {{ font-size: 1.{dice.randint(6, 9)}rem; margin: 0; }}\n"
                f"a {{ color: {accent}; text-decoration: {dice.choice(('none', 'underline'))}; }}\n"
                f"nav a {{ margin-right: 1em; }}\n.date {{ opacity: 0.7; font-size: 0.9em; }}\n"
                f".{self._entry} {{ margin-bottom: {dice.randint(2, 3)}rem; }}\n"
                f"footer {{ margin-top: 3rem; font-size: 0.85em; opacity: 0.6; }}\n")

    def _icon(self) -> str:
        shape = self._dice.choice(('<circle cx="16" cy="16" r="14" {0}/>',
                                   '<rect x="3" y="3" width="26" height="26" rx="6" {0}/>',
                                   '<path d="M16 2 30 28H2z" {0}/>', '<path d="M16 2 30 16 16 30 2 16z" {0}/>'))
        return ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
                + shape.format(f'fill="hsl({self._hue}, 50%, 45%)"') + "</svg>\n")


def _day(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"
