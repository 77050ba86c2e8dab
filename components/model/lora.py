"""LoRA: a frozen model, and beside the matrices that are chosen products of two small ones that are trained.

(https://arxiv.org/abs/2106.09685.) Our matrices are fused, so that each has an adapter for each of its parts: the
matrices that it has in `transformers`, whose names are those of the targets.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from components.core.errors import BadSettings
from components.model import formats
from components.model.config import GATED, ModelConfig
from components.model.hf_module import HfModule
from components.model.interface import LanguageModel
from components.model.lora_settings import Lora
from components.model.transformer import Transformer


class Target(NamedTuple):
    """Consecutive rows of a matrix of ours that are a matrix of its own in `transformers`."""

    path: str  # of its module there
    rows: int

    @property
    def name(self) -> str:
        """The name by which it is chosen."""
        return self.path.rpartition(".")[2]


class Adapter(nn.Module):
    """The product of two matrices of a small rank, [..., inputs] to [..., outputs]; it begins as zero, as in PEFT."""

    def __init__(self, rank: int, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.lora_A = nn.Parameter(torch.empty(rank, inputs))
        self.lora_B = nn.Parameter(torch.zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5), generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(nn.functional.linear(x, self.lora_A), self.lora_B)


class AdaptedLinear(nn.Module):
    """A frozen linear layer, with adapters for some of its parts."""

    def __init__(self, base: nn.Module, parts: Sequence[Target], adapters: Mapping[str, Adapter], scale: float) -> None:
        super().__init__()
        self.base, self.scale = base, scale
        self.parts = tuple(parts)
        self.adapters = nn.ModuleDict(adapters)  # by target

    def forward(self, x: Tensor) -> Tensor:
        outputs = torch.split(self.base(x), self._rows, dim=-1)
        return torch.cat([self._adapted(x, *each) for each in zip(outputs, self.parts, strict=True)], dim=-1)

    @property
    def weight(self) -> Tensor:
        """The matrix of the base, of which modules of `transformers` ask the type."""
        return self.base.get_parameter("weight")

    def adapter(self, part: Target) -> Adapter | None:
        """The adapter of a part, if it is one of the targets."""
        if part.name not in self.adapters:
            return None
        found = self.adapters[part.name]
        assert isinstance(found, Adapter)
        return found

    def merged(self) -> nn.Module:
        """The layer with its adapters in its matrix, computed in fp32."""
        for weight, part in zip(torch.split(_matrix(self.base), self._rows), self.parts, strict=True):
            if (adapter := self.adapter(part)) is not None:
                weight.add_(adapter.lora_B.detach() @ adapter.lora_A.detach(), alpha=self.scale)
        return self.base

    @property
    def _rows(self) -> list[int]:
        return [part.rows for part in self.parts]

    def _adapted(self, x: Tensor, output: Tensor, part: Target) -> Tensor:
        adapter = self.adapter(part)
        return output if adapter is None else output + self.scale * adapter(x)


def parts(model: LanguageModel) -> dict[str, tuple[Target, ...]]:
    """The parts of each matrix in the layers of a model, by the name of its module; of a module of theirs one each."""
    inside = {module for block in model.blocks() for module in block.modules()}
    linears = {name: module for name, module in model.named_modules() if module in inside and _is_linear(module)}
    sizes = {name: len(_matrix(module)) for name, module in linears.items()}
    if isinstance(model, HfModule):
        return {name: (Target(name.removeprefix("module."), rows),) for name, rows in sizes.items()}
    assert isinstance(model, Transformer)
    names = _names(model.config)
    return {
        name: tuple(map(Target, names[name], formats.rows(len(names[name]), model.config, rows)))
        for name, rows in sizes.items()
    }


def targets(model: LanguageModel) -> list[str]:
    """The names that can be chosen, in the order of the layers."""
    return list(dict.fromkeys(part.name for several in parts(model).values() for part in several))


def attach(model: LanguageModel, settings: Lora, seed: int) -> None:
    """Freeze a model in place and attach adapters to its targets; a head for labels, which is new, stays trainable.

    Raises `BadSettings` when a target is too small for the rank, and for heads that are rotated in part: in the files
    of PEFT their rows have another order.
    """
    if isinstance(model, Transformer) and model.config.traits.rotary_dim is not None:
        raise BadSettings("lora is not for models whose heads are rotated in part (Phi-4-mini): take method: full")
    chosen = targets(model) if settings.targets == "all" else settings.targets
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    for weight in head(model).values():
        weight.requires_grad_(True)
    for name, of_matrix in parts(model).items():
        base = model.get_submodule(name)
        adapters = {
            part.name: _adapter(part, _matrix(base).shape[1], settings.rank, generator)
            for part in of_matrix
            if part.name in chosen
        }
        if adapters:
            model.set_submodule(name, AdaptedLinear(base, of_matrix, adapters, settings.alpha / settings.rank))


def merge(model: LanguageModel) -> None:
    """Put all adapters of a model into its matrices, in place; nothing changes where there are none."""
    for name, adapted in list(adapted_layers(model)):
        model.set_submodule(name, adapted.merged())


def adapted_layers(model: nn.Module) -> Iterator[tuple[str, AdaptedLinear]]:
    """The layers that have adapters, with their names."""
    yield from ((name, module) for name, module in model.named_modules() if isinstance(module, AdaptedLinear))


def head(model: LanguageModel) -> dict[str, Tensor]:
    """The weights of a head for labels, by their names in `transformers`; none of a model that predicts tokens."""
    if not model.config.labels:
        return {}
    if isinstance(model, HfModule):
        pretrained = set(model.module.base_model.parameters())
        return {name: weight for name, weight in model.module.named_parameters() if weight not in pretrained}
    assert isinstance(model, Transformer)
    form = formats.of(model.config)
    [name] = form.names(model.config)["head.weight"] if form else ["head.weight"]
    return {name: model.head.weight}


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) or is_transposed(module)


def is_transposed(module: nn.Module) -> bool:
    """Whether it is a linear layer of GPT-2 and its kin, with inputs as the rows of its matrix."""
    return type(module).__name__ == "Conv1D" and type(module).__module__ == "transformers.pytorch_utils"


def _matrix(linear: nn.Module) -> Tensor:
    """The matrix of a linear layer, [outputs, inputs]; not a copy."""
    weight = linear.get_parameter("weight").detach()
    return weight.T if is_transposed(linear) else weight


def _adapter(part: Target, inputs: int, rank: int, generator: torch.Generator) -> Adapter:
    if rank > min(inputs, part.rows):
        raise BadSettings(
            f"lora.rank is {rank}, but {part.name} is a matrix of {part.rows} x {inputs}: "
            f"take at most {min(inputs, part.rows)}"
        )
    return Adapter(rank, inputs, part.rows, generator)


def _names(config: ModelConfig) -> dict[str, tuple[str, ...]]:
    """Their paths of the parts of each module of ours; those of a model that `transformers` lacks are named alike."""
    form = formats.of(config)
    if form is not None:
        return {_module(ours): tuple(map(_module, theirs)) for ours, theirs in form.names(config).items()}
    stacks = {"decoder": ("decoder",), "encoder": ("encoder",), "encoder_decoder": ("encoder", "decoder")}
    gates = ("gate_proj", "up_proj") if config.activation in GATED else ("up_proj",)
    block = _BLOCK | {"mlp.up": gates}
    places = [f"{stack}.blocks.{layer}" for stack in stacks[config.architecture] for layer in range(config.num_layers)]
    return {
        f"{place}.{ours}": tuple(f"{place}.{ours.partition('.')[0]}.{name}" for name in theirs)
        for place in places
        for ours, theirs in block.items()
    }


def _module(weight: str) -> str:
    return weight.removesuffix(".weight")


_BLOCK = {
    "attention.qkv": ("q_proj", "k_proj", "v_proj"),
    "attention.out": ("o_proj",),
    "cross_attention.query": ("q_proj",),
    "cross_attention.key_value": ("k_proj", "v_proj"),
    "cross_attention.out": ("o_proj",),
    "mlp.down": ("down_proj",),
}
