"""The configuration: its file, its fields, and what is typed into them."""

from app.messages.english import fields

TEMPLATES = {
    **fields.TEMPLATES,
    # The file.
    "config.folder": "the data folder {path} can't be made: {reason}",
    "config.lost":
        "{path} is missing, but backups of it exist. Put the last one back: {command} (or, to start anew, remove "
        "{backups})",
    "config.unreadable": "{path} can't be read: {reason}.{more:sentences}",
    "config.unsaved": "{path} can't be saved: {reason}.{more:sentences}",
    "config.invalid": "{path} is not valid: {problems:lines}\n{more:words}",
    "config.last_good": "The last good version is {path}",
    "config.left_out":
        "config.json: {reason}. This value is not used; it stands under _not_understood until the field is set, or the "
        "entry deleted",
    "config.odd_domain":
        "user {name!r}: the domain in the secret is odd: {reason}. The link stays as it is; change the user's domain "
        "for another one",
    "config.unknown_kept": "{field}: unknown to this version; kept",
    "config.user_unknown_kept": "user {name!r}: {field}: unknown to this version; kept",
    # Its text.
    "json.empty": "the file is empty",
    "json.syntax": "line {line}, column {column}: {reason}",
    "json.not_utf8": "the file is not UTF-8 text",
    "json.deep": "lists and objects are nested more than {deepest} deep",
    "json.twice": "the field {field} stands twice in the same object; keep one of them",
    "json.no_number": "{word} is not a number",
    "json.large_number": "the number {digits} is too large",
    "json.long_number": "the number {digits}… has {count:,} digits",
    "json.half": "the text {text} has half a character: {character!r}",
    "json.list": "a list",
    "json.text": "a text",
    "json.flag": "true or false",
    "json.null": "null",
    "json.number": "a number",
    # Its fields.
    "config.kind": "the file holds {kind}; an object {{…}} is expected",
    "config.at": "{path}: {problem}",
    "config.missing": "{path} is missing; allowed: {rule}",
    "config.value": "{value} is not allowed; allowed: {rule}",
    "config.hidden_value": "this value is not allowed; allowed: {rule}",
    "config.unknown_field": "unknown field {field!r}; did you mean {known!r}?",
    "config.no_object": "{field}: {value} is no object {{…}}",
    "config.second_got_another": "{problem}; the second got another one",
    "config.shared_id": "users {first!r} and {second!r} both have the id {value}",
    "config.shared_port": "users {first!r} and {second!r} both have the port {value}",
    "config.shared_plan": "two plans have one name: {first!r} and {second!r}",
    "config.shared_channel": "the channels {first!r} and {second!r} both have the id {value}",
    "config.unknown_plan":
        "{name} has the plan {plan!r}, and there is none: the settings count for them until another plan is chosen",
    "config.shared_admin": "two admins are called {name!r}",
    "setting.unknown": "there is no setting {name!r}; settings are: {settings}",
    "setting.fixed": "{name} can't be set in this version; settings are: {settings}",
    # What is typed.
    "name.missing": "a name is needed: 1 to {most} characters that can be seen",
    "name.long": "the name has {count} characters; {most} are allowed",
    "name.control":
        "the name contains the control character {character!r}; letters, digits, spaces and punctuation are allowed",
    "name.direction":
        "the name contains the character {character!r}, which reverses the direction of other text; leave it out",
    "name.half": "the name contains half a character: {character!r}",
    "note.long": "the note has {count} characters; {most:,} are allowed",
    "note.control":
        "the note contains the control character {character!r}; letters, digits, spaces and punctuation are allowed",
    "note.direction":
        "the note contains the character {character!r}, which reverses the direction of other text; leave it out",
    "note.half": "the note contains half a character: {character!r}",
    "time.no_date": "{typed!r} is not a date; write 2027-01-31, 2027-01-31T18:00",
    "time.range": "{typed!r} is not allowed; write a date from {first} to {last}, such as 2027-01-31",
    "time.or_never": "{problem}, or never",
    "cycle.unknown": "{typed!r} is no reset cycle; allowed: {rule}",
    "domain.base_long":
        "{name}… has {count} characters: no name under it would fit into a link; at most {most} are allowed",
    "password.short": "the password has {count} characters; at least {fewest} are needed",
    "password.few": "the password has {count} different characters; at least {fewest} are needed",
    "password.common":
        "the password is easy to guess; a few unrelated words make a good one",
}
