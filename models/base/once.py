"""The id of a row that a form makes: a form that is sent twice makes one row."""

from __future__ import annotations

import uuid


def row_id(org_id: uuid.UUID, form: uuid.UUID | None, *said: object) -> uuid.UUID:
    """The id for what the form `form` asks for in the words `said`; a random one without a form.

    The form's own id comes from a browser, so it is no row's id as it is: nobody can name a row of another
    clinic. And a page that a browser goes back to, to ask for something else, makes another row.
    """
    if form is None:
        return uuid.uuid4()
    return uuid.uuid5(org_id, "\n".join((form.hex, *map(str, said))))
