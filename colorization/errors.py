"""The one exception that is meant for the user's eyes."""


class UserError(Exception):
    """Something the user can mend; its message is one line that says what is wrong and how."""
