"""A part of the declaration: what is not known is kept, null means the default, and a misspelt field is told."""

from __future__ import annotations

from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from app.config import older
from app.config.invalid import InvalidValue


class Part(BaseModel):
    model_config = ConfigDict(extra="allow", validate_assignment=False, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_the_default(cls, data: Any) -> Any:
        """A field that null means nothing for may as well not be there: other programs write it so."""
        if not isinstance(data, dict):
            return data
        nothing = {f.alias or name for name, f in cls.model_fields.items()
                   if type(None) not in get_args(f.annotation) and not f.is_required()}
        return {key: value for key, value in data.items() if value is not None or key not in nothing}

    @model_validator(mode="after")
    def _no_misspelt_field(self) -> Self:
        for _, reason in older.misspelt(self.model_extra or {}, type(self)):
            raise InvalidValue(reason)
        return self
