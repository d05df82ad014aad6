#!/bin/sh
# Slurm prolog: writes which job has which GPU, for exporters and for hashwarden: /run/gpustat/NAME holds "JOBID UID",
# NAME being a minor number, a UUID or a MIG UUID (the convention of Princeton's jobstats).
#
# Never fails a job: it ends with 0 whatever happens, says nothing, and waits for nothing longer than 3 s.
# It takes only numbers and UUIDs from its environment, which slurmd makes and SPANK plugins may add to.

exec >/dev/null 2>&1 </dev/null
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
unset IFS LD_PRELOAD LD_LIBRARY_PATH
set -f
umask 022

# Slurm counts GPUs by their place in gres.conf. Where that does not list all of the node's GPUs in the order of their
# device files, name the minor numbers in its order: MINORS="4 7" for File=/dev/nvidia[4,7].
MINORS=

FOLDER=/run/gpustat
DRIVER=/proc/driver/nvidia/gpus

is_number() { case $1 in '' | *[!0-9]*) return 1 ;; esac; [ "${#1}" -le 10 ]; }

is_uuid() {
    case $1 in GPU-* | MIG-*) ;; *) return 1 ;; esac
    case ${1#???-} in '' | *[!0-9A-Fa-f-]*) return 1 ;; esac
    [ "${#1}" -le 64 ]
}

# A folder of root, or of whom slurmd runs as, that nobody else can write to.
is_ours() { [ -d "$FOLDER" ] && [ ! -L "$FOLDER" ] && [ -O "$FOLDER" ] && [ -z "$(find "$FOLDER" -prune -perm /022)" ]; }

# Whole or not at all: whoever reads meanwhile sees the old file or the new one.
note() {
    echo "$SLURM_JOB_ID $SLURM_JOB_UID" >"$FOLDER/.$1.$$" && mv -fT "$FOLDER/.$1.$$" "$FOLDER/$1"
    rm -f "$FOLDER/.$1.$$"
}

# The minor number of the GPU at a place.
minor_of() {
    [ -n "$MINORS" ] || { echo "$1"; return; }
    place=0
    for minor in $MINORS; do
        [ "$place" != "$1" ] || echo "$minor"
        place=$((place + 1))
    done
}

minor_in() { sed -n 's/^Device Minor:[[:space:]]*\([0-9]\{1,9\}\)[[:space:]]*$/\1/p' "$1"; }

# By the driver's own list: no program that could hang on a GPU that fell off the bus. Not if places and minor numbers
# cannot be the same: better no UUID than that of another GPU.
note_uuids() {
    set +f
    count=0 highest=-1
    for gpu in "$DRIVER"/*/information; do
        minor=$(minor_in "$gpu")
        is_number "$minor" || return
        count=$((count + 1))
        [ "$minor" -le "$highest" ] || highest=$minor
    done
    [ -n "$MINORS" ] || [ "$highest" -lt "$count" ] || return
    for gpu in "$DRIVER"/*/information; do
        minor=$(minor_in "$gpu")
        uuid=$(sed -n 's/^GPU UUID:[[:space:]]*\(GPU-[0-9A-Fa-f-]*\)[[:space:]]*$/\1/p' "$gpu")
        case " $1 " in *" $minor "*) is_uuid "$uuid" && note "$uuid" ;; esac
    done
}

is_number "$SLURM_JOB_ID" && is_number "$SLURM_JOB_UID" || exit 0
[ -e "$FOLDER" ] || mkdir -m 755 "$FOLDER"
is_ours || exit 0

numbers=
for gpu in $(echo "${SLURM_JOB_GPUS:-${CUDA_VISIBLE_DEVICES:-$GPU_DEVICE_ORDINAL}}" | head -c 4096 | tr ',' ' '); do
    if is_number "$gpu"; then
        minor=$(minor_of "$gpu")
        is_number "$minor" && note "$minor"
        numbers="$numbers $minor"
    elif is_uuid "$gpu"; then
        note "$gpu"
    fi
done

if [ -n "$numbers" ] && [ -d "$DRIVER" ]; then
    note_uuids "$numbers" &
    tenths=0
    while kill -0 $! && [ "$tenths" -lt 30 ]; do
        sleep 0.1
        tenths=$((tenths + 1))
    done
fi
exit 0
