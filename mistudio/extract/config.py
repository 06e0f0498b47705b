"""What an extraction can be told. The page, the shell and the stored row all use this one object."""

from typing import Literal

from pydantic import Field

from mistudio.config import JobConfig


class ExtractConfig(JobConfig):
    model: str = Field(description="Hugging Face id or local folder of the language model.")
    sae: str = Field(description="Folder, file or Hugging Face id of the SAE; in an id, owner/name:path names a folder "
                     "or file of the repository.")
    corpus: str = Field("demo", description="A text file or a folder of them; a .jsonl or .parquet file; a Hugging "
                        "Face data set (owner/name:subset) or a folder of one; or demo (text of installed packages).")
    corpus_split: str = Field("train", description="With a data set: which split of it is read.")
    text_column: str = Field("text", description="Column that holds the text of a row.")
    tokens_column: str | None = Field(None, description="Column of token ids, for rows that come tokenised; input_ids "
                                      "or tokens where there is no text column.")
    document_column: str | None = Field(None, description="Column that names a row's document; rows of one document "
                                        "share its split. If unset, each row is a document.")
    pack: bool = Field(False, description="Fill contexts across documents (of the same split), with EOS between them.")
    prepend_bos: bool | None = Field(None, description="Begin each context with BOS; as the SAE's files say if unset.")
    tokens: int = Field(250_000, ge=1_000, description="How many tokens to run.")
    hook_point: str | None = Field(None, description="Where activations are read, for example layers.9, layers.9.mlp "
                                   "or blocks.9.hook_resid_pre; the SAE's own if unset.")
    center: bool | None = Field(None, description="Take the mean over the stream's width away, for SAEs trained with "
                                "TransformerLens's center_writing_weights; as the SAE's files say if unset.")
    fold_value_biases: bool | None = Field(None, description="At layers.N.attn.z, take the value biases away, for SAEs "
                                           "trained with TransformerLens's fold_value_biases; as the SAE's files say "
                                           "if unset.")
    context_length: int | None = Field(None, ge=8, le=4096, description="Tokens a context; the SAE's own, or 128.")
    name: str = Field("", description="A name for the extraction; made from model and SAE if empty.")
    device: str = Field("auto", description="auto, cpu or cuda.")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto", description="Number format the model runs in; auto is bfloat16, or float32 on a CPU that does not "
        "multiply bfloat16.")
    batch_size: int = Field(16, ge=1, description="Contexts a batch.")
    features_at_once: int | None = Field(None, ge=1, description="Features collected in one pass over the corpus, "
                                         "which is repeated for the next ones; as many as fit into memory if unset.")
    window: int = Field(32, ge=8, description="Tokens an example.")
    # Fuzzing marks 20 windows of the test split rightly and 20 others wrongly; some are near-identical and go.
    top: tuple[int, int, int] = Field((20, 8, 10), description="Strongest examples kept: explain, select, test split.")
    sample: tuple[int, int, int] = Field((24, 8, 32), description="Random active examples kept, likewise.")
    references: int = Field(800, ge=0, description="Random windows kept with every feature's activation in them.")
    seed: int = Field(0, description="Seed of the random sample.")
    checkpoint_seconds: float = Field(30, ge=0, description="Seconds between checkpoints; a killed extraction goes on "
                                      "from the last one.")
    engine: Literal["local", "ray"] = Field("local", description="local (this process) or ray (several, see README).")
    address: str | None = Field(None, description="With ray: the cluster to use; this machine alone if unset.")
    workers: int | None = Field(None, ge=1, description="With ray: how many; one a GPU, or one a machine, if unset.")
