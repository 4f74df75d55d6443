"""Both networks in PyTorch, to compare the speed of training and prediction with.

Layer by layer what `color.py` and `color_global.py` build: batch normalization of convolutions,
layer normalization of dense layers, ReLU, and nearest-neighbour upsampling before a convolution.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional


def _conv(inputs: int, channels: int, stride: int = 1, size: int = 3) -> nn.Module:
    layer = nn.Conv2d(inputs, channels, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def _dense(inputs: int, channels: int) -> nn.Module:
    layer = nn.Linear(inputs, channels, bias=False)
    return nn.Sequential(layer, nn.LayerNorm(channels), nn.ReLU(inplace=True))


class Network(nn.Module):
    """Lightness `[batch, 1, 224, 224]` to logits `[batch, 2, 112, 112]`."""

    def __init__(self, model: str):
        super().__init__()
        self.low_level = nn.Sequential(
            _conv(1, 64, 2),
            _conv(64, 128),
            _conv(128, 128, 2),
            _conv(128, 256),
            _conv(256, 256, 2),
            _conv(256, 512),
        )
        self.mid_level = nn.Sequential(_conv(512, 512), _conv(512, 256))
        self.fusion = None
        if model == "color_global":
            self.global_conv = _conv(512, 32)
            self.global_dense = nn.Sequential(
                _dense(28 * 28 * 32, 1024), _dense(1024, 512), _dense(512, 256)
            )
            self.fusion = _conv(512, 256, size=1)
        self.colorization = nn.Sequential(
            _conv(256, 128),
            nn.Upsample(scale_factor=2),
            _conv(128, 64),
            _conv(64, 64),
            nn.Upsample(scale_factor=2),
            _conv(64, 32),
            nn.Conv2d(32, 2, 3, padding=1),
        )

    def forward(self, lightness: torch.Tensor) -> torch.Tensor:
        low = self.low_level(lightness / 50 - 1)
        x = self.mid_level(low)
        if self.fusion is not None:
            whole = self.global_dense(self.global_conv(low).flatten(1))
            copies = whole[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = self.fusion(torch.cat([x, copies], dim=1))
        return self.colorization(x)


def make_step(model: str, precision: str, training: bool, batch: int, compiled: bool) -> Callable:
    """One step of training or prediction on random photos, channels last, autocast in bfloat16."""
    torch.manual_seed(1)
    network = Network(model).to(memory_format=torch.channels_last).train(training)
    run = torch.compile(network) if compiled else network
    lightness = 100 * torch.rand(batch, 1, 224, 224).to(memory_format=torch.channels_last)
    code = torch.rand(batch, 2, 112, 112)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")

    def train() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            logits = run(lightness)
        functional.mse_loss(torch.sigmoid(logits.float()), code).backward()
        optimizer.step()

    @torch.inference_mode()
    def predict() -> None:
        with autocast:
            run(lightness)

    return train if training else predict
