"""What a database's refusal means for the person who reads it."""

from __future__ import annotations

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from tasearch.domain.errors import StorageError
from tasearch.stores.engine import hide_password

_HINTS = (
    (
        r"password authentication failed|no password supplied|fe_sendauth",
        "check the user, and the password in ~/.pgpass (readable by you alone), PGPASSWORD or TASEARCH_STORAGE",
    ),
    (
        r"translate host name|resolve host|[Nn]ame or service not known|nodename nor servname|No address associated"
        r"|Temporary failure in name resolution",
        "check the spelling of the host in --storage, and that this machine can resolve it",
    ),
    (
        r"read-?only|recovery is in progress",
        "tasearch must write to its database: give it one that may be written with --storage",
    ),
    (
        r"disk is full|No space left|disk I/O error|could not extend file",
        "free some space where the database lies, then run the same command again: nothing was half-written",
    ),
    (r"database \"[^\"]*\" does not exist", "create it first, e.g. with `createdb`, or correct its name in --storage"),
    (r"role \"[^\"]*\" does not exist", "check the user in --storage"),
    (r"permission denied", "the user of --storage needs the right to create and write tables there"),
    (r"is not a database|malformed", "it is damaged or holds something else; choose another with --storage"),
)

DATABASE_ERRORS = (SQLAlchemyError,)
"""What is raised where a database, or the way to it, fails."""


def storage_error(error: DBAPIError, url: URL | str) -> StorageError:
    """Return what is raised for a refusal: which database, its own words on one line, what to do next; no password."""
    url = make_url(url)
    message = " ".join(str(error.orig or error).split())
    if url.password:
        message = message.replace(str(url.password), "***")
    hint = next(
        (hint for pattern, hint in _HINTS if re.search(pattern, message)),
        "check that the database runs and can be reached",
    )
    return StorageError(f"database {hide_password(url)} failed: {message}", hint=hint)
