#!/usr/bin/env bash
# Trains the embedded models with a teacher, in stages that go on where they were stopped:
#
#     lab/studies/train_default_models.sh STAGE FOLDER
#
# STAGE is scenes, teacher, label, pupils or evaluate. What is read, from the environment:
#   NYU       folder of NYU Depth V2's labelled frames (scenes and label need none)
#   ENCODER   folder of ResNet50 v2's weights, resnet50v2_*.npz (teacher)
#   PHOTOS    folder of photographs without depth (label)
#   TEACHER   name or file of another teacher; by default the one that was trained (label)
#   COUNT     scenes to render, 8000;  WORKERS  processes that render, all cores
#   LIMIT     seconds after which a stage stops, to go on when it is called again, 480
#   STEPS     steps of every run, to try it in miniature;  DEVICE  auto, cpu or cuda
#   RILIEVO_DATA  folder of the sets that judge (evaluate)
set -euo pipefail
cd "$(dirname "$0")/.."
stage="${1:?give a stage: scenes, teacher, label, pupils or evaluate}"
folder="${2:?give a folder for runs and frames}"
frames="$folder/frames"
limit=(timeout --signal=INT --kill-after=60 "${LIMIT:-480}")
common=(--device "${DEVICE:-auto}" --resume ${STEPS:+--steps "$STEPS"})

scenes() {
    # A shard that is there is not rendered again.
    "${limit[@]}" python -m lab.scenes --count "${COUNT:-8000}" --seed 31 \
        --workers "${WORKERS:-$(nproc)}" -o "$frames/rendered"
}

teacher() {
    "${limit[@]}" python -m lab.making base --shards "$frames/rendered" --real "${NYU:?}" \
        --encoder "${ENCODER:?}" -o "$folder/base" "${common[@]}"
}

label() {
    if [ -d "$frames/lessons" ]; then
        echo "$frames/lessons: there already"
        return
    fi
    # Unfinished lessons stay out of the frames, and are made anew.
    rm -rf "$folder/lessons.part"
    "${limit[@]}" python -m lab.making teacher "${TEACHER:-$folder/base/small.onnx}" \
        "${PHOTOS:?}" --flip -o "$folder/lessons.part"
    mv "$folder/lessons.part" "$frames/lessons"
}

pupils() {
    "${limit[@]}" python -m lab.making small-taught --shards "$frames/rendered" \
        --lessons "$frames/lessons" --real "${NYU:?}" \
        --start src/rilievo/models/default/small.onnx -o "$folder/small" "${common[@]}"
}

evaluate() {
    files=()
    for run in base small; do
        [ -f "$folder/$run/small.onnx" ] || continue
        if [ ! "$folder/$run.onnx" -nt "$folder/$run/small.onnx" ]; then
            python -m lab.making.recalibrate "$folder/$run/small.onnx" --real "${NYU:?}" \
                -o "$folder/$run.onnx"
        fi
        files+=("$folder/$run.onnx")
    done
    python lab/studies/evaluate_default_model.py --models "${files[@]}" --json "$folder/scores.json" \
        ${SETS:+--sets $SETS}
}

case "$stage" in
    scenes | teacher | label | pupils | evaluate) "$stage" ;;
    *) echo "error: no stage '$stage': scenes, teacher, label, pupils or evaluate" >&2; exit 2 ;;
esac
