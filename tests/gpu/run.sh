#!/bin/sh
# Everything that needs a GPU, in one call: the figures of `voxrtc bench voxtral`, `bench tts` and the tests marked gpu.
#
#   sh tests/gpu/run.sh [FOLDER]      (default: $OUT, else gpu-out here)
#
# Nothing is fetched. What has to be there: Python with torch, transformers, pytest and rich; wheels in the folder
# $WHEELS, if any, are unpacked beside it (torchao, for int8 and int4). At most 9 minutes, which is the sum of the parts'
# limits: one that fails or is cut off does not take the others with it. FOLDER then holds a JSON for each kind of
# weights (written anew after every step of the bench, "complete" at its end), a picture where matplotlib is there,
# tests.log and run.log.
set -u
cd "$(dirname "$0")/../.." || exit 1
out=${1:-${OUT:-gpu-out}}
python=${PYTHON:-python3}
mkdir -p "$out" || exit 1
out=$(cd "$out" && pwd)
log=$out/run.log
kill_after=5 # seconds that a part which was told to end has for it
: >"$log"
PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
PYTHONUNBUFFERED=1
export PYTHONPATH PYTHONUNBUFFERED

say() { echo "$*" | tee -a "$log"; }

# part LIMIT_S NAME COMMAND...: run it within the limit, keep what it prints, and go on whatever happens.
part() {
	limit=$1 name=$2
	shift 2
	began=$(date +%s)
	say "== $name (at most $limit s)"
	timeout -k "$kill_after" "$limit" "$@" >"$out/.part" 2>&1
	status=$?
	cat "$out/.part" >>"$log"
	tail -n 32 "$out/.part"
	say "== $name ended with status $status after $(($(date +%s) - began)) s"
	[ "$status" -eq 0 ] || failed="${failed:+$failed, }$name"
}

failed=
wheels=$(ls "${WHEELS:-.whl}"/*.whl 2>/dev/null)
if [ -n "$wheels" ]; then
	site=$(mktemp -d)
	# shellcheck disable=SC2086 - one argument a wheel
	part 20 wheels "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$site" $wheels
	PYTHONPATH=$PYTHONPATH:$site
fi
part 15 machine "$python" -c 'import platform, torch, transformers
print(platform.python_version(), "torch", torch.__version__, "transformers", transformers.__version__)
print(torch.cuda.get_device_name(), torch.cuda.mem_get_info())'

bench() {
	part "$1" "bench $2" "$python" -m voxrtc.bench.voxtral --audio tests/data/austen-0870.wav ${BENCH:-} \
		--quantize "$2" --json "$out/$2.json" --plot "$out/$2.png"
}
# What matters most first: what comes later may be cut off by the caller's own limit.
bench 130 none
# Beside the package's own where $WHEELS has chatterbox-tts, diffusers 0.29, conformer, einops, omegaconf,
# antlr4-python3-runtime and scipy.
# shellcheck disable=SC2086 - options
part 100 tts "$python" -m voxrtc.bench.tts --voice chatterbox --callers 16 ${TTS:-} \
	--json "$out/tts.json" --plot "$out/tts.png"
# Plugins that pyproject.toml counts on (time-outs, asyncio) may be missing: the tests here need none.
part 110 tests env PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 "$python" -m pytest tests/gpu -m gpu --noconftest -q -rs \
	-o addopts=--import-mode=importlib -W ignore::pytest.PytestWarning -p no:cacheprovider --durations=5
cp "$out/.part" "$out/tests.log"
bench 60 int4
bench 55 int8
rm -f "$out/.part"
say "== ${failed:+failed: }${failed:-all parts are done}"
[ -z "$failed" ]
