"""The smallest models that can judge: the tiny base with a long memory, and a reward model that has learned one preference."""

import json
import shutil
from pathlib import Path

from tests.builders import assistant, user
from tests.tiny_model import CITIES, RIGHT, UNSURE, question


def build_tiny_judge(base: Path, folder: Path, *, context: int = 8192) -> Path:
    """The tiny base, made to read longer texts than it was trained on: what it says of them means nothing, and is read."""
    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": context}))
    return folder


def build_tiny_reward(base: Path, folder: Path, *, outputs: int = 1) -> Path:
    """A classifier on the tiny base's shape; with one output it rewards the right answer and not the unsure one."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, LlamaForSequenceClassification

    from continuum.models.chat_format import encode_texts, render

    tokenizer = AutoTokenizer.from_pretrained(str(base))
    config = AutoConfig.from_pretrained(str(base), num_labels=outputs, pad_token_id=tokenizer.pad_token_id)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForSequenceClassification(config)
        if outputs == 1:
            turns = [(city, answer) for city in CITIES for answer in (RIGHT, UNSURE)]
            texts = [render(tokenizer, (user(question(city)), assistant(answer)), answer_next=False) for city, answer in turns]
            rows = encode_texts(tokenizer, texts)
            target = torch.tensor([3.0 if answer == RIGHT else -3.0 for _, answer in turns])
            width = max(map(len, rows))
            pad = tokenizer.pad_token_id
            ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
            optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
            for _ in range(60):
                optimizer.zero_grad()
                reward = model(input_ids=ids, attention_mask=(ids != pad).long()).logits[:, 0]
                loss = torch.nn.functional.mse_loss(reward, target)
                loss.backward()
                optimizer.step()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
