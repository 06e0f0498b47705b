"""What the configs of all jobs have in common. The page, the shell and the stored row of a job use the same object."""

from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from mistudio.errors import MistudioError


def plain_address(value: str | None) -> str | None:
    """An address that was typed. It is stored, and shown to everybody.

    Raises:
        ValueError: it may hold a secret.
    """
    value = (value or "").strip() or None
    if value and ("?" in value or "@" in value.split("//")[-1].split("/")[0]):
        raise ValueError("an address must not hold a key, a user name or a password")
    return value


class JobConfig(BaseModel):
    """Options of a job, each field with a line of help."""

    # "model" is a word of the field here; pydantic would keep names that begin with "model_" for itself.
    model_config = ConfigDict(frozen=True, protected_namespaces=())

    @classmethod
    def checked(cls, **values) -> Self:
        """A config from what a user typed.

        Raises:
            MistudioError: a value is out of range; the message names the option.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            field = cls.model_fields.get(name)
            what = f"The option {name} is not valid" if name else "These options do not go together"
            raise MistudioError(f"{what}: {first['msg'].removeprefix('Value error, ').lower()}.",
                                (field.description or "") if field else "") from error
