"""The one place that reads the environment.

Every setting is an environment variable with the prefix ``MISTUDIO_`` (``OPENAI_API_KEY``, ``OPENAI_BASE_URL`` and
``OLLAMA_HOST`` keep the names their own clients use). Streamlit puts what its secrets hold at the top level there, too.
"""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from mistudio.errors import MistudioError

PROJECT = Path(__file__).resolve().parents[1]
KEPT_NAMES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_HOST")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MISTUDIO_", extra="ignore")

    data_dir: Path = Field(PROJECT / "data", description="Folder for the database and downloaded models.")
    database_url: str | None = Field(None, description="SQLAlchemy URL; SQLite in the data folder when unset.")
    device: str = Field("auto", description="auto, cpu or cuda: where the model and the SAE run.")
    openai_api_key: SecretStr | None = Field(None, validation_alias=AliasChoices("OPENAI_API_KEY"))
    openai_base_url: str | None = Field(None, validation_alias=AliasChoices("OPENAI_BASE_URL"))
    ollama_host: str = Field("http://127.0.0.1:11434", validation_alias=AliasChoices("OLLAMA_HOST"))
    recording: bool = Field(False, description="Larger type and no toolbar, for videos and pictures.")
    author: str = Field("local", description="Name recorded with what the owner writes, judges or starts.")
    access: Literal["local", "public", "login"] = Field("local", description="Who may do what in the dashboard.")
    editors: str = Field("", description="With login: e-mails and @domains, by commas, that may do everything.")
    viewers: str = Field("", description="With login: e-mails and @domains, by commas, that may look around.")
    visitor_servers: str = Field(
        "", description="Addresses, by commas, that those who may not write can call although they are not public.")

    @property
    def url(self) -> str:
        """The database to use."""
        return self.database_url or f"sqlite:///{self.data_dir / 'mistudio.db'}"

    @property
    def models_dir(self) -> Path:
        """Where downloaded models are kept."""
        return self.data_dir / "models"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        MistudioError: one has a value that it cannot have.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = error.errors(include_input=False)[0]
        name = str(wrong["loc"][0]).upper()
        name = name if name in KEPT_NAMES else f"MISTUDIO_{name}"
        raise MistudioError(f"The setting {name} has a value that it cannot have.", f"{wrong['msg']}.") from None
