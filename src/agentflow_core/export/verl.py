"""verl's prompts for reinforcement learning: a Parquet row for each question that has a reference answer.

Columns as its documentation of data preparation has them: ``data_source``, ``prompt``, ``ability``,
``reward_model{style, ground_truth}``, ``extra_info``. A task that was sampled several times is one row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentflow_core.export.chat import chat_messages, check_chat, data_url, function_of
from agentflow_core.export.formats import Format, Pictures, Unfit
from agentflow_core.export.parquet import arrow, read_parquet, write_parquet
from agentflow_core.export.tables import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agentflow_core.export.examples import Example
    from agentflow_core.export.selection import Source

__all__ = ["VerlExporter"]


class VerlExporter(Format):
    """A row for each question: instructions and question as the prompt, the reference as the ground truth."""

    noun = "prompts"

    def write(self, source: Source, output: Path, pictures: Pictures) -> int:
        """See `Format.write`."""
        return write_parquet(output, _rows(source), _schema())

    def check(self, output: Path) -> int:
        """Every row has a prompt that ends with a question, and a ground truth that is not empty."""
        count = 0
        for where, row in read_parquet(output, _schema()):
            check_chat(row["prompt"], where, is_whole=False)
            if row["prompt"][-1]["role"] != "user":
                raise Unfit(f"{where}: the prompt does not end with a question")
            if not row["reward_model"]["ground_truth"] or row["reward_model"]["style"] != "rule":
                raise Unfit(f"{where}: no ground truth")
            if not row["data_source"] or not row["ability"] or row["extra_info"]["index"] != count:
                raise Unfit(f"{where}: it is not named and numbered")
            count += 1
        return count


def _schema() -> Any:
    pyarrow = arrow()
    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    extra = {"index": pyarrow.int64(), "split": text, "id": text, "question": text, "references": texts, "tools": text}
    return pyarrow.schema(
        {
            "data_source": text,
            "prompt": pyarrow.list_(pyarrow.struct({"role": text, "content": text}.items())),
            "ability": text,
            "reward_model": pyarrow.struct({"style": text, "ground_truth": text}.items()),
            "extra_info": pyarrow.struct(extra.items()),
        }
    )


def _rows(source: Source) -> Iterator[dict[str, Any]]:
    data_source = f"agentflow/{source.run.dir.resolve().name}"
    index = 0
    done = None
    for example in source.examples():
        task = example.result.task_id if example.result is not None else example.id
        references = [reference for reference in example.references if reference]
        if task == done:
            continue
        prompt = _prompt(example, source)
        reason = _unfit(prompt, references)
        if reason:
            source.left_out[reason] += 1
            continue
        done = task
        yield {
            "data_source": data_source,
            "prompt": prompt,
            "ability": _ability(example),
            "reward_model": {"style": "rule", "ground_truth": references[0]},
            "extra_info": {
                "index": index,
                "split": source.part,
                "id": task,
                "question": example.question,
                "references": references,
                "tools": json_text([function_of(tool) for tool in example.tools]),
            },
        }
        index += 1


def _prompt(example: Example, source: Source) -> list[dict[str, Any]]:
    begin = next((at for at, message in enumerate(example.messages) if message.role == "assistant"), None)
    return chat_messages(example.messages[:begin], data_url(source.run.blobs))


def _unfit(prompt: list[dict[str, Any]], references: list[str]) -> str:
    """Why a question makes no row; empty where it does."""
    if not references:
        return "no reference answer"
    if not prompt:
        return "no conversation"
    return "" if all(isinstance(message["content"], str) for message in prompt) else "a picture in the prompt"


def _ability(example: Example) -> str:
    """The kind of answer if it is known."""
    kind = (
        example.qa.answer_type if example.qa else example.result.metadata.get("answer_type") if example.result else ""
    )
    return str(kind) if kind else "qa"
