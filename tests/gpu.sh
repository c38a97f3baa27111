#!/bin/sh
# What only a GPU can show, in under eight minutes: tests, speed, and one real build. It prints rows for
# embedsearch/docs/speed.md, with the device and the date. It needs the checkout and an environment with
# embedsearch[test] and sentence-transformers; PYTHON names its Python.
#
#   tests/gpu.sh            on a machine with a CUDA device
#   tests/gpu.sh --dry-run  the same steps on the CPU with tiny models; the figures mean nothing
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
dry=${1:-}
case $dry in
"")
    device=$("$python" -c 'import torch; print(torch.cuda.get_device_name())' 2>/dev/null) || {
        echo "gpu.sh: torch finds no CUDA device; --dry-run goes through the steps without one" >&2
        exit 1
    }
    on=cuda
    ;;
--dry-run)
    device="dry run on the CPU"
    on=cpu
    ;;
*)
    echo "usage: tests/gpu.sh [--dry-run]" >&2
    exit 2
    ;;
esac
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
slower=${dry:+10} # a busy machine without a GPU may take its time

row() { # seconds, arguments of Python ...: run it, and print its last lines as a row
    limit=$(($1 * ${slower:-1}))
    shift
    if timeout "$limit" "$python" "$@" >"$folder/out" 2>"$folder/err"; then
        said=$(grep -v '^$' "$folder/out" | tail -n 8 | tr '\n|' ';/' | sed 's/;$//; s/;/; /g')
    else
        failed=1
        said="FAILED: $(cat "$folder/out" "$folder/err" | tail -n 5 | tr '\n|' ' /')"
    fi
    echo "| \`python $*\` | $device, $(date +%Y-%m-%d): $said |"
}

echo "| command | figure |"
echo "|---|---|"
row 90 -m pytest -q -p no:cacheprovider -m gpu tests/encoders/test_images.py
row 150 -m tests.benchmarks.text_gpu $dry
row 150 -m tests.benchmarks.image_gpu $dry
row 60 -m embedsearch build embedsearch/docs --name gpu --device $on --indexes "$folder"
row 20 -m embedsearch search gpu "how much memory does building take?" -k 1 --indexes "$folder"
exit $failed
