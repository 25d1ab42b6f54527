#!/bin/sh
# A stand-in for a sandbox that cannot run: it says why, and makes no claim.
echo "first" >&2
echo "sandbox: a wall is missing" >&2
exit 5
