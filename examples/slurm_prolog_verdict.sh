#!/bin/sh
# Slurm prolog: asks hashwarden on this node what it thought of the jobs before this one on the same GPUs, and tells the
# owner of this job of open cases of his own.
#
#   slurm.conf:  Prolog=/etc/slurm/prolog.d/*        deploy/slurm/prolog.sh as 10-gpus.sh, this file as 20-verdict.sh
#                TaskProlog=/etc/slurm/prolog.d/20-verdict.sh
#
# As Prolog (root) it writes what was thought of the jobs before to the system log, for operators alone, and leaves a
# note for the owner; as TaskProlog (the owner) it prints that note into the job's output. It goes by the files that
# prolog.sh leaves in /run/gpustat. Never fails a job: it ends with 0 whatever happens, and waits for nothing longer than 2 s.

SOCKET=/run/hashwarden/agent.sock
GPUSTAT=/run/gpustat
NOTES=/run/hashwarden-notes
LOG='logger -t hashwarden-prolog'
COMMENT=no # yes: the node's comment says what was confirmed on it last

PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
unset IFS LD_PRELOAD LD_LIBRARY_PATH
set -f
umask 077

case $SLURM_JOB_ID in '' | *[!0-9]*) exit 0 ;; esac

if [ "$SLURM_SCRIPT_CONTEXT" = prolog_task ]; then
    # slurmd gives lines that begin with "print " to the job.
    [ "$SLURM_LOCALID" = 0 ] && [ -r "$NOTES/$SLURM_JOB_ID" ] && sed 's/^/print hashwarden: /' "$NOTES/$SLURM_JOB_ID"
    exit 0
fi

exec >/dev/null 2>&1 </dev/null
case $SLURM_JOB_UID in '' | *[!0-9]*) exit 0 ;; esac

# The UUIDs of this job's GPUs, as prolog.sh noted them.
gpus() {
    set +f
    for file in "$GPUSTAT"/GPU-* "$GPUSTAT"/MIG-*; do
        if [ -f "$file" ] && [ ! -L "$file" ]; then
            job=
            read -r job _ <"$file"
            [ "$job" = "$SLURM_JOB_ID" ] && echo "${file##*/}"
        fi
    done
}

ask() {
    curl --silent --fail --connect-timeout 1 --max-time 2 --max-filesize 50000000 --unix-socket "$SOCKET" \
        "http://localhost$1"
}

# Names in the answers were chosen by users: JSON is read by what reads JSON, and only plain characters come out of it.
# Lines for the log begin with "log ", lines for the owner with "user ", what was confirmed with "worst ".
# shellcheck disable=SC2016
READ='
import json, re, sys

def plain(text):
    return re.sub("[^A-Za-z0-9 .,_:@/%~-]", "?", str(text))[:160]

uid, gpus = int(sys.argv[1]), sys.argv[2:]
ended, cases = (json.loads(line) if line else {} for line in (sys.stdin.read() + "\n\n").split("\n")[:2])
for gpu in gpus:
    before = [job for job in ended.get("jobs", []) if gpu in job["verdicts"]]
    if not before:
        print("log", gpu, "nothing is known of a job before this one")
        continue
    job, verdict = before[-1], before[-1]["verdicts"][gpu]
    words = (job["job"], job["user"], verdict["state"], verdict["likeliest"] or "unknown work")
    print("log", gpu, plain("{} of {} was {}, most like {}".format(*words)))
    if verdict["state"] == "confirmed":
        print("worst", plain("{} on {} was confirmed".format(job["job"], gpu)))
for case in cases.get("cases", []):
    if case["closed_unix_s"] is None and case["job"].get("uid") == uid:
        words = (case["id"], case["job"]["id"], case["standing"])
        print("user", plain("case {} about your job {} is open: {}".format(*words)))
'

# Leaves the note where its owner alone can read it, for as long as a day.
leave_note() {
    [ -e "$NOTES" ] || mkdir -m 755 "$NOTES"
    [ -d "$NOTES" ] && [ ! -L "$NOTES" ] && [ -O "$NOTES" ] || return
    find "$NOTES" -type f -mtime +0 -delete
    cat >"$NOTES/.$SLURM_JOB_ID" && chown "$SLURM_JOB_UID" "$NOTES/.$SLURM_JOB_ID" &&
        mv -fT "$NOTES/.$SLURM_JOB_ID" "$NOTES/$SLURM_JOB_ID"
}

[ -S "$SOCKET" ] || exit 0
# shellcheck disable=SC2046
found=$(printf '%s\n%s\n' "$(ask /v1/ended)" "$(ask /v1/cases)" |
    timeout 2 python3 -I -S -c "$READ" "$SLURM_JOB_UID" $(gpus))

echo "$found" | sed -n 's/^log //p' | $LOG
note=$(echo "$found" | sed -n 's/^user //p')
[ -z "$note" ] || echo "$note" | leave_note
worst=$(echo "$found" | sed -n 's/^worst //p' | head -n 1)
if [ "$COMMENT" = yes ] && [ -n "$worst" ]; then
    timeout 2 scontrol update "NodeName=$SLURMD_NODENAME" "Comment=hashwarden: $worst"
fi
exit 0
