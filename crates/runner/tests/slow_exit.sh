#!/bin/sh
# A stand-in for the sandbox: it makes its claim, writes its report, and exits while a process of its own holds the lock.
echo "$$" > claim
/bin/cp report.prepared report.json
/bin/sleep 0.5 &
exit 0
