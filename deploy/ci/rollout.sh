#!/bin/sh
# Rolls a version out from a pipeline, waits for the verdict, and ends with it.
#
#   rollout.sh FILE [IMAGE]
#
# FILE is a rollout file; IMAGE, if given, is rolled out in place of the file's. serin finds the fleet by its
# variables: SERIN_SERVER, SERIN_CA, SERIN_CERT, SERIN_KEY.
#
#   SERIN_ID        names the attempt: a job that is run again with the same one starts nothing twice
#   SERIN_REASON    why, for the record: a link to the pipeline, say
#   SERIN_PATIENCE  how long to wait for the verdict (1h)
#
# Exit codes are serin's: 0 promoted, 2 the file is wrong, 3 rolled back, 4 aborted by a person, 5 SERIN_PATIENCE is
# over, 6 it waits for an approval, 7 another rollout is under way, 8 no coordinator. Whatever ends the job ends no
# rollout: it goes on, or back, by itself.
set -eu

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "usage: rollout.sh FILE [IMAGE]" >&2
  exit 2
fi
file=$1
image=${2:+--image=$2}

serin check "$file"
serin plan "$file" ${image:+"$image"} # for the log of the job

rollout=$(serin start "$file" ${image:+"$image"} --detach -o name \
  ${SERIN_ID:+"--id=$SERIN_ID"} ${SERIN_REASON:+"--reason=$SERIN_REASON"})
if [ -z "$rollout" ]; then
  echo "nothing to do: that is what runs already"
  exit 0
fi

status=0
serin wait "$rollout" --for done --timeout "${SERIN_PATIENCE:-1h}" || status=$?
if [ "$status" -ne 0 ]; then
  serin explain "$rollout" || true # the numbers that decided
fi
exit "$status"
