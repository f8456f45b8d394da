"""A base model and an adapter of it that nobody trained: drawn at random, in a second, and whole enough to be merged."""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from continuum.ids import new_id
from continuum.models.local import quiet_peft
from continuum.records import Checkpoint

WORDS = ("<unk>", "</s>", "user", "assistant", "what", "is", "this", "a", "parcel")
TEMPLATE = "{% for message in messages %}{{ message.role }} {{ message.content }} {% endfor %}assistant "


def a_tuned_llama(folder: Path, hidden: int = 16) -> Checkpoint:
    """A llama of some thousand parameters in bfloat16, and a LoRA on all of its linear layers."""
    torch.manual_seed(7)
    words = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))  # noqa: S106
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="</s>", chat_template=TEMPLATE)  # noqa: S106
    tokenizer.save_pretrained(str(folder / "base"))
    sizes = {"hidden_size": hidden, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(WORDS), max_position_embeddings=64, eos_token_id=1, **sizes)
    base = LlamaForCausalLM(config)
    base.bfloat16().save_pretrained(str(folder / "base"))
    with quiet_peft():
        lora = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
        get_peft_model(base.float(), lora).save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
    return Checkpoint(
        id=new_id(), task="support", version=1, base_model=str(folder / "base"), uri=str(folder / "adapter"), dataset_id="d1"
    )
