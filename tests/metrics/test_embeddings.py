"""similarity by embeddings, against a real HTTP server."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow_core.config import load_config
from agentflow_core.errors import AuthenticationError, BadOutputError, TransientError
from agentflow_core.interfaces import MetricContext, ScoredSample
from agentflow_core.metrics.similarity import Similarity, SimilarityConfig, cosine
from agentflow_core.models import ModelEmbedder, ModelsConfig, open_models
from agentflow_core.models.mock import MockConfig, MockModel, MockStep
from agentflow_core.models.openai import OpenAIConfig, OpenAIModel
from agentflow_core.models.prices import PriceConfig
from agentflow_core.records import ModelRequest, Task, user
from agentflow_core.testing.openai_server import OpenAIServer


class Words:
    """An embedder whose texts are alike where they share words."""

    name = "words"

    def __init__(self, error=None):
        self.error = error
        self.asked = []

    async def embed(self, texts):
        self.asked.append(list(texts))
        if self.error is not None:
            raise self.error
        vocabulary = sorted({word for text in texts for word in text.split()})
        return [[float(word in text.split()) for word in vocabulary] for text in texts]


async def compare(embedder, prediction, *references):
    sample = ScoredSample(task=Task(id="t", question="?"), prediction=prediction, references=references)
    return await Similarity(SimilarityConfig(by="embeddings")).score(sample, MetricContext(embedder=embedder))


def test_only_embeddings_need_a_model():
    assert (Similarity().needs, Similarity(SimilarityConfig(by="embeddings")).needs) == ("nothing", "embedder")


async def test_the_best_reference_counts_and_texts_are_asked_for_once():
    embedder = Words()
    found = await compare(embedder, "a small town", "a large city", "the small town", " ")
    assert found.value == pytest.approx(2 / 3)
    assert found.reason == "the cosine of 'a small town' and 'the small town' is 0.667 (words)"
    assert embedder.asked == [["a small town", "a large city", "the small town"]]


@pytest.mark.parametrize(
    ("prediction", "references", "value", "graded"),
    [(None, ["x"], 0, True), ("x", [], 0, False), ("", ["x"], 0, True), ("", ["", "x"], 1, True), ("x", [""], 0, True)],
)
async def test_what_is_empty_or_missing_needs_no_model(prediction, references, value, graded):
    embedder = Words()
    found = await compare(embedder, prediction, *references)
    assert (found.value, found.graded, embedder.asked) == (value, graded, [])


async def test_a_model_that_fails_leaves_the_sample_ungraded():
    found = await compare(Words(TransientError("gone")), "x", "y")
    assert (found.graded, found.reason) == (False, "the embedding model (words) failed: transient: gone")
    assert not (await compare(None, "x", "y")).graded
    with pytest.raises(AuthenticationError):
        await compare(Words(AuthenticationError("key")), "x", "y")


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=6), st.floats(0.1, 10))
def test_the_cosine_of_a_vector_and_its_multiple_is_one(vector, factor):
    assert cosine(vector, [factor * number for number in vector]) == pytest.approx(1.0 if math.hypot(*vector) else 0.0)
    assert cosine(vector, [0.0] * len(vector)) == 0


async def test_the_openai_provider_gives_the_vectors_of_a_server_in_order():
    with OpenAIServer(embed=lambda text: [float(len(text)), 1.0]) as server:
        config = OpenAIConfig(name="e-1", base_url=server.url, prices=PriceConfig(input=2, output=0))
        async with OpenAIModel(config) as model:
            assert await ModelEmbedder(model).embed(["abc", "a"]) == [[3.0, 1.0], [1.0, 1.0]]
            request = ModelRequest(messages=(user("abc"),), purpose="embed", role="embedder")
            completion = await model.complete(request)
        assert server.requests[0] == {"model": "e-1", "input": ["abc", "a"], "encoding_format": "float"}
        assert completion.usage.prompt_tokens > 0
        assert completion.usage.cost_usd == pytest.approx(completion.usage.prompt_tokens * 2e-6)


@pytest.mark.parametrize(
    "answer", ["hello", '{"embeddings": [[1], [1, 2]]}', '{"embeddings": [[1]]}', '{"embeddings": [["a"], [2]]}']
)
async def test_a_model_that_gives_no_vectors_is_said_to_be_none(answer):
    model = MockModel(MockConfig(steps=(MockStep(text=answer),)))
    with pytest.raises(BadOutputError, match="gave no 2 embeddings of one length"):
        await ModelEmbedder(model).embed(["a", "b"])


async def test_embeddings_are_cached_and_accounted_under_their_role(plugin_host, tmp_path):
    host = plugin_host()
    with OpenAIServer() as server:
        document = {
            "model": "offline",
            "roles": {"embedder": {"provider": "openai", "name": "e", "base_url": server.url}},
        }
        config = load_config(ModelsConfig, document, registry=host.registry).config
        for _ in range(2):
            async with open_models(config, host=host, cache=tmp_path / "cache.sqlite") as models:
                found = await compare(ModelEmbedder(models("embedder")), "listen", "silent")
                spent = dict(models.spent)
        assert found.value == pytest.approx(1.0)
        assert (server.calls, spent) == (1, {})
