"""The one place that reads the environment.

Every setting is an environment variable with the prefix ``MISTUDIO_`` (``OPENAI_API_KEY``, ``OPENAI_BASE_URL`` and
``OLLAMA_HOST`` keep the names their own clients use).
"""

from functools import lru_cache
from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT = Path(__file__).resolve().parents[1]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MISTUDIO_", extra="ignore")

    data_dir: Path = Field(PROJECT / "data", description="Folder for the database and downloaded models.")
    database_url: str | None = Field(None, description="SQLAlchemy URL; SQLite in the data folder when unset.")
    device: str = Field("auto", description="auto, cpu or cuda: where the model and the SAE run.")
    openai_api_key: SecretStr | None = Field(None, validation_alias=AliasChoices("OPENAI_API_KEY"))
    openai_base_url: str | None = Field(None, validation_alias=AliasChoices("OPENAI_BASE_URL"))
    ollama_host: str = Field("http://127.0.0.1:11434", validation_alias=AliasChoices("OLLAMA_HOST"))
    recording: bool = Field(False, description="Larger type and no toolbar, for videos and pictures.")
    author: str = Field("local", description="Name recorded with labels written or judged by hand.")

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
    """The settings of this process, read once."""
    return Settings()
