"""Triton kernels without a GPU: in Triton's interpreter, which tests/conftest.py switches on where there is none."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("triton", reason="triton is not installed")

if os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("kernels are not interpreted here; tests/gpu runs them as they are", allow_module_level=True)

from voxrtc.models.gpu import kernels

__all__ = ["kernels"]
