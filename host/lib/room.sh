#!/usr/bin/env bash
# How much of a disk is free, and how much has to be. Needs no other part.
# shellcheck disable=SC2034  # read by the other parts

# MB, for everything that an installation brings.
LEAST_DISK=2048
# Where everything is there already: for an image that is made anew.
LEAST_DISK_AGAIN=700

# disk_free_mb FOLDER: of the disk that it is on, or will be on.
disk_free_mb() {
    local folder=$1
    while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
    df -Pm "$folder" | awk 'NR == 2 { print $4 }'
}
